"""MariaDB's semi-sync: when does it prove that an acknowledged write is on a replica? Pure.

One acknowledgement by any replica is enough for the primary, so each acknowledged write is on at least one of
those that were connected: all of them together have every one, and nobody may be missing. The primary gives
up waiting after a time-out and goes on without any; whatever was acknowledged from then on is on nobody else.

A reading of the primary holds if it was taken after a write of ours that had been acknowledged: every wait
that was going on before that write has ended by then, so no wait can time out earlier than the time-out after
that write began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# A primary that waits so long for replicas which have left it is as good as one that waits for ever: nobody
# leaves a lost primary alone for an hour.
HOLDS_FOR_GOOD_MS: Final = 3_600_000
AFTER_SYNC: Final = "AFTER_SYNC"


@dataclass(frozen=True, slots=True)
class SemiSync:
    """What the primary last said of it. None is not known. clients: connected replicas that acknowledge.
    written: the reading came after a write that was acknowledged."""

    enabled: bool | None = None
    active: bool | None = None
    wait_point: str | None = None
    wait_no_replica: bool | None = None
    timeout_ms: int | None = None
    clients: int | None = None
    written: bool = False

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> SemiSync:
        """Of the facts of the probe `mariadb`."""
        return cls(
            enabled=_boolean(facts, "semi_sync_enabled"),
            active=_boolean(facts, "semi_sync_active"),
            wait_point=_text(facts, "semi_sync_wait_point"),
            wait_no_replica=_boolean(facts, "semi_sync_wait_no_replica"),
            timeout_ms=_integer(facts, "semi_sync_timeout_ms"),
            clients=_integer(facts, "semi_sync_clients"),
            written=_integer(facts, "canary_n") is not None,
        )

    @property
    def misconfigured(self) -> str | None:
        """Why it can prove nothing as it is set, or None."""
        if self.enabled is None:
            return "whether the primary waited for a replica is not known"
        if not self.enabled:
            return "asynchronous: the primary waited for no replica (rpl_semi_sync_master_enabled)"
        if self.wait_point != AFTER_SYNC:
            return f"rpl_semi_sync_master_wait_point is {self.wait_point}, not {AFTER_SYNC}"
        if self.wait_no_replica is False:
            return "rpl_semi_sync_master_wait_no_slave is off: with no replica connected nobody is waited for"
        return None

    @property
    def holds_for_good(self) -> bool:
        """A primary whose replicas have all left it acknowledges nothing any more."""
        return (
            self.misconfigured is None
            and self.wait_no_replica is True
            and self.active is True
            and (self.timeout_ms or 0) >= HOLDS_FOR_GOOD_MS
        )

    def doubt(self, *, counted: int, age_ms: int | None) -> str | None:
        """Why the replicas that are counted need not have every acknowledged write; None: they have.

        age_ms: from the beginning of the attempt that read it until the primary was seen to be gone, or now.
        """
        if self.misconfigured is not None:
            return self.misconfigured
        if self.active is not True:
            return "semi-sync had fallen back to asynchronous when the primary was last seen"
        if not self.written:
            return "no write of ours shows that semi-sync held (the estate's `write_table`)"
        if self.timeout_ms is None or age_ms is None or age_ms >= self.timeout_ms:
            return (
                f"semi-sync may have fallen back to asynchronous: it was last seen {_shown(age_ms)} before, "
                f"and waits for {_shown(self.timeout_ms)}"
            )
        if self.clients is None or self.clients > counted:
            return (
                f"{self.clients} replicas acknowledged writes and {counted} of them can be read: the others "
                "may have what these lack"
            )
        return None if counted else "no replica that acknowledged writes can be read"


def _shown(ms: int | None) -> str:
    return "an unknown time" if ms is None else f"{ms} ms"


def _boolean(facts: Mapping[str, Any], key: str) -> bool | None:
    value = facts.get(key)
    return value if isinstance(value, bool) else None


def _integer(facts: Mapping[str, Any], key: str) -> int | None:
    value = facts.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(facts: Mapping[str, Any], key: str) -> str | None:
    value = facts.get(key)
    return value if isinstance(value, str) else None
