"""Positions of MariaDB's replication: global transaction ids, `domain-server-sequence`. Pure.

Within a domain sequences grow, whoever writes; two members whose other domains stand equal can be compared by
their sequence in the one in which the primary writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# domain → (server id, sequence) of the last one in it.
Gtids = Mapping[int, tuple[int, int]]
# (domain, server id) → the last sequence that the binary log ever had of that server.
Logged = Mapping[tuple[int, int], int]


def parse_gtids(text: str) -> dict[int, tuple[int, int]]:
    """A position, `0-1-120,7-2-5`. What can't be read is left out."""
    return {domain: (server, sequence) for domain, server, sequence in _each(text)}


def parse_logged(text: str) -> dict[tuple[int, int], int]:
    """A `gtid_binlog_state`, which names every server that ever wrote."""
    found: dict[tuple[int, int], int] = {}
    for domain, server, sequence in _each(text):
        found[domain, server] = max(sequence, found.get((domain, server), 0))
    return found


def format_gtids(gtids: Gtids) -> str:
    return ",".join(f"{d}-{s}-{n}" for d, (s, n) in sorted(gtids.items()))


def furthest(*positions: Gtids) -> dict[int, tuple[int, int]]:
    """In each domain the furthest of them."""
    found: dict[int, tuple[int, int]] = {}
    for position in positions:
        for domain, (server, sequence) in position.items():
            if domain not in found or found[domain][1] < sequence:
                found[domain] = (server, sequence)
    return found


def covers(has: Gtids, other: Gtids) -> bool:
    """Has it come at least as far in every domain?"""
    return all(d in has and has[d][1] >= n for d, (_s, n) in other.items())


def compared(gtids: Gtids, domain: int) -> tuple[str, int]:
    """(where the other domains stand, the sequence in `domain`): equal in the first, they compare by the
    second."""
    rest = {d: at for d, at in gtids.items() if d != domain}
    return format_gtids(rest), gtids.get(domain, (0, 0))[1]


def unknown_to(logged: Logged, other: Logged, *, but: int | None = None) -> list[str]:
    """What `logged` has and `other` never had, as GTIDs: the last of each server. but: a server whose own are
    left out."""
    return [
        f"{domain}-{server}-{sequence}"
        for (domain, server), sequence in sorted(logged.items())
        if server != but and other.get((domain, server), 0) < sequence
    ]


def _each(text: str) -> Iterator[tuple[int, int, int]]:
    for part in text.split(","):
        numbers = part.strip().split("-")
        if len(numbers) == 3 and all(n.isascii() and n.isdigit() for n in numbers):
            domain, server, sequence = (int(n) for n in numbers)
            yield domain, server, sequence
