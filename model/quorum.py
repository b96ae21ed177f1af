"""Who must be read to know every acknowledged write (S3, POSTGRESQL P1 to P4). Pure arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from model.lsn import Position

_TOKEN = re.compile(r'\s*(?:(?P<quoted>"(?:[^"]|"")*")|(?P<word>[^\s,()"]+)|(?P<mark>[(),]))')


@dataclass(frozen=True, slots=True)
class SyncSetting:
    """A `synchronous_standby_names`: acknowledged writes are on `k` of `names`. k = 0: asynchronous."""

    method: str
    k: int
    names: tuple[str, ...]
    text: str = ""

    @property
    def synchronous(self) -> bool:
        return self.k > 0

    @property
    def readable_needed(self) -> int:
        """n − k + 1 of n: any so many standbys contain every acknowledged write (P1)."""
        return max(1, len(self.names) - self.k + 1)

    def ambiguous(self) -> str | None:
        """Why the names do not each mean exactly one server, or None (P1)."""
        if "*" in self.names:
            return "`*` matches any receiver, also one that is no server"
        folded = [n.lower() for n in self.names]
        twice = sorted({n for n in folded if folded.count(n) > 1})
        if twice:
            return f"{', '.join(twice)} named twice"
        if self.k > len(self.names):
            return (
                f"{self.k} of {len(self.names)} names can only acknowledge where two receivers share a name"
            )
        return None


ASYNCHRONOUS = SyncSetting("ANY", 0, ())


# The same few texts are read several times in every judgement.
@lru_cache(maxsize=4096)
def parse_synchronous_standby_names(text: str) -> SyncSetting:
    """PostgreSQL's grammar: `''`, `a, b`, `2 (a, b)`, `FIRST 2 (a, b)`, `ANY 2 (a, b)`; names may be quoted.

    Unquoted names compare without case (as the server does); they are kept as written. Raises ValueError.
    """
    tokens = _tokens(text)
    if not tokens:
        return SyncSetting("ANY", 0, (), text)
    method, count, rest = "FIRST", 1, tokens
    lowered = [t.lower() for t in tokens[:2]]
    if lowered[0] in ("any", "first") and len(tokens) > 2 and tokens[1].isdigit():
        method, count, rest = lowered[0].upper(), int(tokens[1]), _inside_brackets(tokens[2:], text)
    elif tokens[0].isdigit() and len(tokens) > 1 and tokens[1] == "(":
        count, rest = int(tokens[0]), _inside_brackets(tokens[1:], text)
    names = tuple(rest[::2])
    if len(rest) % 2 == 0 or any(c != "," for c in rest[1::2]) or any(n in "()," for n in names):
        raise ValueError(f"not a list of standby names: {text!r}")
    if count < 1:
        raise ValueError(f"the number of synchronous standbys must be 1 or more: {text!r}")
    return SyncSetting(method, count, names, text)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"not a list of standby names: {text!r}")
        quoted = match["quoted"]
        tokens.append(quoted[1:-1].replace('""', '"') if quoted else match["word"] or match["mark"])
        position = match.end()
    return tokens


def _inside_brackets(tokens: Sequence[str], text: str) -> list[str]:
    if len(tokens) < 3 or tokens[0] != "(" or tokens[-1] != ")":
        raise ValueError(f"a list in brackets is missing: {text!r}")
    return list(tokens[1:-1])


def format_names(method: str, k: int, names: Sequence[str]) -> str:
    """The setting's text, names quoted; '' for none."""
    if not names:
        return ""
    quoted = ", ".join('"' + n.replace('"', '""') + '"' for n in names)
    return f"{method} {min(k, len(names))} ({quoted})"


def without(setting: SyncSetting, name: str) -> SyncSetting:
    """The setting without the primary's own name, which can never be its own standby (P1)."""
    names = tuple(n for n in setting.names if n.lower() != name.lower())
    return SyncSetting(setting.method, setting.k, names, setting.text)


def meant_names(plan: SyncSetting, home: Sequence[str], primary: str) -> list[str]:
    """Who is to confirm writes while `primary` is primary: `plan` is written for the home primary, which is
    not in it and takes the place of whoever is primary now. Application names; none if it is asynchronous."""
    if not plan.synchronous:
        return []
    return [n for n in (*plan.names, *home) if n.lower() != primary.lower()]


@dataclass(frozen=True, slots=True)
class MemberPosition:
    """A surviving member as the proof sees it.

    position None: not readable, or not detached from the old primary, or not stable: it does not count.
    not_candidate: why it may not be promoted (delayed, paused, excluded), though it counts.
    preference: lower is preferred, see `preference_of`; local standbys come before the DR member.
    """

    member: str
    application_name: str
    position: Position | None
    preference: tuple[int, ...]
    not_candidate: str | None = None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """`complete`: the furthest counted member has every acknowledged write."""

    complete: bool
    reason: str
    needed: int
    readable: tuple[str, ...]
    furthest: Position | None


def prove(settings: Sequence[SyncSetting], members: Sequence[MemberPosition]) -> Proof:
    """Is every write acknowledged under any of `settings` on the members that can be read?

    Each of the settings must be satisfied: after a change both count until a canary was acknowledged under
    the new one (P2). A name counts only if it is exactly one member's, compared without case.
    """
    counted = [m for m in members if m.position is not None]
    readable = tuple(m.member for m in counted)
    positions = [m.position for m in counted if m.position is not None]
    furthest = max(positions, key=lambda p: (p.timeline, p.lsn), default=None)
    if not settings:
        return Proof(False, "the synchronous setting in force is not known", 0, readable, furthest)
    lineages = {(p.system_identifier, p.timeline) for p in positions}
    needed = max(s.readable_needed if s.synchronous else 0 for s in settings)
    if len(lineages) > 1:
        return Proof(
            False, "positions are of different lineages and can't be compared", needed, readable, furthest
        )
    for setting in settings:
        reason = _short_of(setting, counted, members)
        if reason:
            return Proof(False, reason, needed, readable, furthest)
    return Proof(
        True,
        f"{len(readable)} readable, {needed} needed: every acknowledged write is among them",
        needed,
        readable,
        furthest,
    )


def _short_of(
    setting: SyncSetting, counted: Sequence[MemberPosition], members: Sequence[MemberPosition]
) -> str | None:
    if not setting.synchronous:
        return "replication is asynchronous: no standby is certain to have the last acknowledged write"
    ambiguous = setting.ambiguous()
    if ambiguous:
        return f"synchronous_standby_names is ambiguous: {ambiguous}"
    apps = [m.application_name.lower() for m in members]
    read = {m.application_name.lower() for m in counted}
    have = [n for n in setting.names if apps.count(n.lower()) == 1 and n.lower() in read]
    if len(have) < setting.readable_needed:
        return (
            f"{setting.method} {setting.k} of {len(setting.names)} needs {setting.readable_needed} readable "
            f"of ({', '.join(setting.names)}); read: {', '.join(have) or 'none'}"
        )
    return None


# A member that is further behind than this streams for longer than a moment (0.5 MB took 20 ms, P4): one
# segment of WAL, about half a second.
FAR_BEHIND_BYTES = 16 << 20
_SITE_RANKS = {"primary": 0, "standby": 1}
_PARTS = ("at the DR site", "lost the primary's role a short while ago", "more than a segment behind",
          "by the estate's preference", "by its site", "by its name")  # fmt: skip


def preference_of(
    site_role: str, configured: int, *, remote: bool = False, returning: bool = False
) -> tuple[int, ...]:
    """Lower is preferred. The DR site comes last, whatever else (P4); of the others, one that lost the
    primary's role a short while ago comes after those that did not (`returning`); then the estate's own
    number; then the site: the primary one before the standby one. remote: counts as the DR site."""
    away = remote or site_role in ("dr", "witness")
    return (int(away), int(returning), configured, _SITE_RANKS.get(site_role, 2))


@dataclass(frozen=True, slots=True)
class Ranked:
    """One member in the order of choice. place: from 1; None: it can't be promoted. why: in words."""

    member: str
    place: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Who is promoted; `source` is a member ahead of it, from which it first streams what it lacks (P4).
    ranking: every member, the candidate first, those that can't be promoted last."""

    candidate: str | None
    source: str | None
    reason: str
    ranking: tuple[Ranked, ...] = ()


def choose(members: Sequence[MemberPosition], wanted: str | None = None) -> Choice:
    """The preferred eligible member; one that lags catches up from the furthest first (P4).

    The order: as `preference_of` says, but for position, which comes before the estate's own number: within a
    moment of the furthest before further behind; at last by name. Only members of the newest lineage that was
    read take part: positions of others can't be compared (P3). wanted: this one or none.
    """
    counted = _newest_lineage(members)
    furthest = max(counted, key=_lsn, default=None)
    top = 0 if furthest is None else _lsn(furthest)
    eligible = sorted((m for m in counted if m.not_candidate is None), key=lambda m: _rank(m, top))
    ranking = _ranking(members, eligible, top)
    fit = [m for m in eligible if wanted is None or m.member == wanted]
    if not fit or furthest is None:
        asked = [r for r in ranking if wanted is None or r.member == wanted]
        reasons = "; ".join(f"{r.member}: {r.why}" for r in asked)
        return Choice(None, None, f"no member can be promoted ({reasons or 'none left'})", ranking)
    best, behind = fit[0], top - _lsn(fit[0])
    if behind > 0:
        text = f"preferred; {behind} bytes behind {furthest.member}: streams them first"
        return Choice(best.member, furthest.member, text, ranking)
    return Choice(best.member, None, "preferred, and nobody is ahead of it", ranking)


def _rank(member: MemberPosition, top: int) -> tuple[int | str, ...]:
    far = int(top - _lsn(member) > FAR_BEHIND_BYTES)
    return (*member.preference[:2], far, *member.preference[2:], member.member)


def _ranking(
    members: Sequence[MemberPosition],
    eligible: Sequence[MemberPosition],
    top: int,
) -> tuple[Ranked, ...]:
    ranked: list[Ranked] = []
    for place, member in enumerate(eligible, 1):
        behind = top - _lsn(member)
        lag = f"; {behind} bytes behind" if behind > 0 else ""
        before = None if place == 1 else eligible[place - 2]
        why = "preferred" if before is None else f"after {before.member}: {_differs(before, member, top)}"
        ranked.append(Ranked(member.member, place, why + lag))
    for member in members:
        if member in eligible:
            continue
        why = member.not_candidate or member.why_not
        if not why:
            why = "not readable" if member.position is None else "it is of another lineage than the newest"
        ranked.append(Ranked(member.member, None, why))
    return tuple(ranked)


def _differs(better: MemberPosition, worse: MemberPosition, top: int) -> str:
    """The first part of their ranks that tells two members apart."""
    pairs = zip(_PARTS, _rank(better, top), _rank(worse, top), strict=False)
    return next((part for part, one, other in pairs if one != other), "by its name")


def _newest_lineage(members: Sequence[MemberPosition]) -> list[MemberPosition]:
    """Those on the youngest timeline; none if that is of two systems, since nobody knows which is ours."""
    read = [(m, m.position) for m in members if m.position is not None]
    newest = max((p.timeline for _m, p in read), default=0)
    systems = {p.system_identifier for _m, p in read if p.timeline == newest}
    return [m for m, p in read if p.timeline == newest] if len(systems) == 1 else []


def _lsn(member: MemberPosition) -> int:
    return member.position.lsn if member.position else -1


def names_after_failover(setting: SyncSetting, remaining: Mapping[str, str]) -> str:
    """`synchronous_standby_names` for the candidate: only the remaining standbys (P11).

    remaining: member → application_name of the standbys that stay. With nobody left the old names stay, so
    that writes wait rather than being acknowledged on a single copy (`when_single_copy: block`).
    """
    wanted = {n.lower() for n in setting.names}
    names = [
        app for _member, app in sorted(remaining.items()) if app.lower() in wanted or not setting.synchronous
    ]
    if not setting.synchronous:
        return ""
    return format_names(setting.method, setting.k, names) if names else setting.text
