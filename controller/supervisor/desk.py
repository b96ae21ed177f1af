"""Keeps a service's incident: opens it, marks its clock, freezes its facts, and closes it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import events as ev
from model.decision import Decision
from model.events import Event
from model.observation import Observation
from model.ports import Journal

# (seq, hash) of the journal's head → signature with the host's key.
Signer = Callable[[int, str], str]
# Keeps the raw observations of an incident: (its file's name, SHA-256 of what is in it). May block.
FactsKeeper = Callable[[str, Sequence[Observation]], tuple[str, str]]


class IncidentDesk:
    """One per service. Times are monotonic seconds, journaled as nanoseconds."""

    def __init__(self, service: str, journal: Journal, keep: FactsKeeper, sign: Signer) -> None:
        self._service = service
        self._journal = journal
        self._keep = keep
        self._sign = sign

    async def open(
        self,
        diagnosis: Mapping[str, Any],
        *,
        level: str,
        t0_s: float | None,
        first_bad_s: float | None,
        confirmed_s: float | None,
        frozen: Mapping[str, Any],
        manual: bool = False,
        actor: str = "daemon",
    ) -> str:
        """Journal the incident and its marks T0 to T2. Returns its id."""
        event = await self._journal.append(
            ev.INCIDENT_OPENED,
            {
                "t0_ns": _ns(t0_s),
                "first_bad_ns": _ns(first_bad_s),
                "diagnosis": dict(diagnosis),
                "level": level,
                "manual": manual,
                "frozen": dict(frozen),
            },
            service=self._service,
            incident="new",
            actor=actor,
        )
        incident = event.incident or ""
        if confirmed_s is not None:
            await asyncio.gather(*(self.mark(incident, mark, confirmed_s) for mark in ("T1", "T2")))
        return incident

    async def mark(
        self, incident: str, mark: str, at_s: float, note: str = "", execution: str | None = None
    ) -> None:
        await self._journal.append(
            ev.CLOCK_MARK,
            {"mark": mark, "at_ns": _ns(at_s), "note": note},
            service=self._service,
            incident=incident,
            execution=execution,
        )

    async def decided(self, incident: str | None, decision: Decision) -> None:
        await self._journal.append(
            ev.DECISION_MADE, decision.to_json(), service=self._service, incident=incident
        )

    async def freeze(self, incident: str, observations: Sequence[Observation]) -> None:
        """The raw observations go to a file of their own, its digest into the journal: they are too large to
        stand in the way of a failover, and are written in a thread for the same reason."""
        name, digest = await asyncio.to_thread(self._keep, incident, list(observations))
        await self._journal.append(
            ev.FACTS_FROZEN,
            {"file": name, "sha256": digest, "observations": len(observations)},
            service=self._service,
            incident=incident,
        )

    async def recovered(self, incident: str, primary: str | None, how: str) -> None:
        """primary: None for a service that has none. how: it works again, for people."""
        await self._journal.append(
            ev.INCIDENT_RECOVERED, {"primary": primary, "how": how}, service=self._service, incident=incident
        )

    async def close(
        self, incident: str, reason: str, actor: str = "daemon", *, redundant_s: float | None = None
    ) -> Event:
        """The incident's last record is signed with the host's key, and with it the chain up to there.
        redundant_s: when redundancy was seen to be back (T9). Raises JournalError."""
        if redundant_s is not None:
            head = self._journal.events(incident=incident)[-1]
            self._sign(head.seq, head.hash)  # a key that can't be used stops it here, not after the mark
            await self.mark(incident, "T9", redundant_s)
        return await close_record(
            self._journal, self._sign, self._service, incident, reason=reason, actor=actor
        )


async def close_record(
    journal: Journal, sign: Signer, service: str | None, incident: str, *, reason: str, actor: str
) -> Event:
    """The incident's last record, signed with the host's key. Raises JournalError."""
    head = journal.events(incident=incident)[-1]
    return await journal.append(
        ev.INCIDENT_CLOSED,
        {
            "reason": reason,
            "head_seq": head.seq,
            "head_hash": head.hash,
            "signature": sign(head.seq, head.hash),
        },
        service=service,
        incident=incident,
        actor=actor,
        anchor=True,
    )


def facts_in(directory: Path) -> FactsKeeper:
    """Keeps them in files there, one for each incident."""

    def keep(incident: str, observations: Sequence[Observation]) -> tuple[str, str]:
        path = directory / f"{incident}.jsonl.gz"
        return path.name, _write_facts(path, observations)

    return keep


def _write_facts(path: Path, observations: Sequence[Observation]) -> str:
    """Returns the SHA-256 of what is in the file, unpacked."""
    lines = b"".join(json.dumps(o.to_json(), sort_keys=True).encode() + b"\n" for o in observations)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("wb") as file:
        path.chmod(0o600)
        file.write(gzip.compress(lines, mtime=0))
        file.flush()
        os.fsync(file.fileno())
    return hashlib.sha256(lines).hexdigest()


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)
