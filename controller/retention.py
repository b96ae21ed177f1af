"""How long files beside the journal are kept: a policy of the estate, and each deletion is a record.

Records of the journal are never deleted: a chain with a gap proves nothing. What may go are the files that it
names: whole outputs of steps, and raw observations of incidents. Their digests stand in the record of their
deletion, which is on disk before the first of them goes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from config.daemon import Retention
from controller.phases import parse_wall_ns
from model import events as ev
from model.errors import BcmError
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

EVERY_S: Final = 6 * 3600.0
# In one record, which is read as a whole; what is left goes with the next.
MOST_FILES: Final = 200


@dataclass(frozen=True, slots=True)
class Old:
    """A file that its policy lets go. path: below the state directory."""

    path: str
    bytes: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "bytes": self.bytes, "sha256": self.sha256}


class Keeper:
    """policy: that of the estate in force. leads: only one controller deletes."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        state_dir: Callable[[], Path],
        policy: Callable[[], Retention],
        leads: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._state_dir = state_dir
        self._policy = policy
        self._leads = leads

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                await self.apply()
            except BcmError as error:
                log.warning("old files could not be deleted", error=error.what)

    async def apply(self) -> list[Old]:
        """Delete what is too old now; returns it. Raises JournalError and LeadershipLostError, before
        anything is deleted."""
        policy, gone = self._policy(), list[Old]()
        if not self._leads():
            return gone
        for kind, keep_s, closing in (
            ("outputs", policy.outputs, ev.EXECUTION_CLOSED),
            ("facts", policy.facts, ev.INCIDENT_CLOSED),
        ):
            if keep_s is None:
                continue
            closed = self._closed_before(closing, self._clock.wall_s() - keep_s)
            found = await asyncio.to_thread(old_files, self._state_dir(), kind, closed)
            if found:
                data = {"kind": kind, "keep_s": int(keep_s), "files": [old.to_json() for old in found]}
                await self._journal.append(ev.FILES_DELETED, data)
                await asyncio.to_thread(_delete, self._state_dir(), found)
                gone += found
        return gone

    def _closed_before(self, type_: str, wall_s: float) -> frozenset[str]:
        """Executions, or incidents, that were closed before that moment, as the journal tells it: a file
        whose owner is open, or that nobody knows, stays."""
        closed = self._journal.events(types=(type_,))
        names = ((e.execution if type_ == ev.EXECUTION_CLOSED else e.incident, e.wall_utc) for e in closed)
        return frozenset(
            name for name, at in names if name is not None and (parse_wall_ns(at) or 0) < wall_s * 1e9
        )


def old_files(state_dir: Path, kind: str, owners: frozenset[str]) -> list[Old]:
    """At most MOST_FILES of `state_dir/kind` that belong to one of `owners`, in the order of their names."""
    directory = state_dir / kind
    if not directory.is_dir():
        return []
    owned = (p for p in sorted(directory.rglob("*")) if p.is_file() and not p.is_symlink())
    found = [p for p in owned if _owner(p.relative_to(directory)) in owners]
    return [_old(state_dir, path) for path in found[:MOST_FILES]]


def _owner(path: Path) -> str:
    """`EXE-12/call.txt` and `INC-7.jsonl.gz` are named after whose they are."""
    return path.parts[0].split(".", 1)[0]


def _old(state_dir: Path, path: Path) -> Old:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return Old(str(path.relative_to(state_dir)), path.stat().st_size, f"sha256:{digest.hexdigest()}")


def _delete(state_dir: Path, files: Sequence[Old]) -> None:
    """What can't be deleted is tried again with the next record."""
    for old in files:
        path = state_dir / old.path
        try:
            path.unlink(missing_ok=True)
            if path.parent != state_dir / path.relative_to(state_dir).parts[0]:
                path.parent.rmdir()
        except OSError as error:
            log.info("an old file, or its directory, stays", path=str(path), error=str(error))
