"""Builds journals in memory, hash-chained as the store chains them, for whoever reads journals.

`JournalBuilder` writes single events; `failover_journal` one complete incident, as a crash of the primary
leaves it. Times are milliseconds after 2026-11-25T10:00:00Z, on one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from model import events as ev
from model.canonical import record_hash
from model.events import GENESIS_HASH, Event

START = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
BOOT_MONO_NS = 5_000_000_000_000
LSN = 0x3000060


class JournalBuilder:
    """`at(ms)` moves the clock; `add` writes an event at it and returns it. `service` and `incident` are the
    defaults of every event that follows (`incident=""`: none)."""

    def __init__(
        self, service: str | None = "orders", *, boot: str = "boot-1", offset_us: int | None = 150
    ) -> None:
        self.events: list[Event] = []
        self.service = service
        self.incident: str | None = None
        self.boot = boot
        self.offset_us = offset_us
        self.epoch = 1
        self.ms = 0.0
        self._boot_ms = 0.0

    def at(self, ms: float) -> JournalBuilder:
        self.ms = ms
        return self

    def reboot(self, boot: str) -> None:
        """From here on another boot: its monotonic clock begins anew."""
        self.boot, self._boot_ms = boot, self.ms

    def mono_ns(self, ms: float | None = None) -> int:
        """On the present boot's clock."""
        passed = (self.ms if ms is None else ms) - self._boot_ms
        return BOOT_MONO_NS + int(passed * 1e6)

    def add(
        self,
        type_: str,
        data: Mapping[str, Any] | None = None,
        *,
        execution: str | None = None,
        incident: str | None = None,
        actor: str = "daemon",
        **more: Any,
    ) -> Event:
        seq = len(self.events) + 1
        if execution == "new":
            execution = f"EXE-{seq}"
        if incident == "new":
            incident = self.incident = f"INC-{seq}"
        record: dict[str, Any] = {
            "seq": seq,
            "epoch": self.epoch,
            "writer": "bcm-failover",
            "boot_id": self.boot,
            "mono_ns": self.mono_ns(),
            "wall_utc": (START + timedelta(milliseconds=self.ms)).isoformat(timespec="microseconds"),
            "wall_offset_us": self.offset_us,
            "type": type_,
            "v": 1,
            "service": self.service,
            "incident": (incident or None) if incident is not None else self.incident,
            "execution": execution,
            "actor": actor,
            "data": {**(data or {}), **more},
            "prev": self.events[-1].hash if self.events else GENESIS_HASH,
        }
        event = Event(**record, hash=record_hash(record))
        self.events.append(event)
        return event

    # --- what a run of a runbook writes

    def mark(
        self, mark: str, ms: float | None = None, *, execution: str | None = None, note: str = ""
    ) -> Event:
        return self.add(
            ev.CLOCK_MARK, {"mark": mark, "at_ns": self.mono_ns(ms), "note": note}, execution=execution
        )

    def step(
        self,
        execution: str,
        step: str,
        output: Mapping[str, Any] | None = None,
        *,
        outcome: str = "succeeded",
        detail: str = "",
        took_ms: float = 10.0,
        action: str = "",
        changing: bool = True,
        commands: Sequence[str] = (),
        attempt: int = 1,
    ) -> None:
        """Intent now, result after `took_ms`; the clock moves on."""
        action = action or f"postgresql.{step}"
        self.add(
            ev.STEP_INTENT,
            {
                "step": step,
                "action": action,
                "attempt": attempt,
                "changing": changing,
                "commands": list(commands),
            },
            execution=execution,
            inputs={},
        )
        self.ms += took_ms
        self.add(
            ev.STEP_RESULT,
            {
                "step": step,
                "outcome": outcome,
                "output": dict(output or {}),
                "detail": detail,
                "attempt": attempt,
            },
            execution=execution,
            took_ns=int(took_ms * 1e6),
            reason="",
        )


def position(lsn: int = LSN, timeline: int = 1) -> dict[str, Any]:
    return {"system_identifier": "7000000000000000001", "timeline": timeline, "lsn": lsn}


def prove_output(**changes: Any) -> dict[str, Any]:
    """What the step `prove` says when everything is as it should be."""
    return {
        "complete": True,
        "reason": "2 readable, 2 needed: every acknowledged write is among them",
        "candidate": "pg2",
        "source": None,
        "method": "ANY",
        "k": 1,
        "n": 2,
        "needed": 2,
        "setting": "ANY 1 (pg1, pg2, pg3)",
        "settings": ["ANY 1 (pg1, pg2, pg3)"],
        "setting_read_ns": BOOT_MONO_NS - 200_000_000,
        "readable": ["pg2", "pg3"],
        "positions": {"pg2": position(), "pg3": position()},
        "application_names": {"pg1": "pg1", "pg2": "pg2", "pg3": "pg3"},
        "excluded": {},
        "weak": [],
        **changes,
    }


STEPS = ("lock", "last_look", "detach", "prove", "catch_up", "names", "fence", "promote", "repoint", "verify")


def crash_diagnosis(**changes: Any) -> dict[str, Any]:
    return {
        "code": "PrimaryProcessDown",
        "cause": "application",
        "stance": "act",
        "level": "III",
        "sentence": "The primary's process has died.",
        "sentence_zh": "主节点进程已终止。",
        "member": "pg1",
        "confirmed": True,
        "evidence_for": ["pg1: 3 refusals in a row", "last answer 0.41 s ago"],
        "evidence_against": ["the host answers: connections are refused, not dropped"],
        **changes,
    }


def frozen(**changes: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "estate_digest": "sha256:" + "ab" * 32,
        "profile": "balanced",
        "objectives": {"rto_ms": 60000, "rpo_ms": 0, "mtpd_ms": 14400000},
        "sync_setting": {
            "value": "ANY 1 (pg1, pg2, pg3)",
            "all": ["ANY 1 (pg1, pg2, pg3)"],
            "read_ns": BOOT_MONO_NS - 200_000_000,
            "synchronous_commit": "on",
        },
        "last_acked_canary": 4711,
        "high_water": {"pg2": {"timeline": 1, "lsn": LSN}},
        "people": ["ada", "bo"],
        **changes,
    }


def gates(**failed: str) -> list[dict[str, Any]]:
    names = (
        ("mode", "S7"), ("pause", "S7"), ("leadership", "S4"), ("observer", "S6"), ("observers", "S6"),
        ("diagnosis", "S6"), ("confirmed", "S6"), ("blocked", "S8"), ("budget", "S1"), ("execution", "S1"),
        ("candidate", "P4"), ("rpo", "S3"), ("dr", "S9"), ("approval", "S7"),
    )  # fmt: skip
    return [
        {"name": n, "passed": n not in failed, "reason": failed.get(n, "passes"), "rule": rule, "asks": False}
        for n, rule in names
    ]


def open_crash(journal: JournalBuilder) -> str:
    """A crash at 0 ms, confirmed at 75 ms. Returns the incident's id."""
    journal.at(75)
    opened = journal.add(
        ev.INCIDENT_OPENED,
        {
            "t0_ns": journal.mono_ns(-400),
            "first_bad_ns": journal.mono_ns(5),
            "diagnosis": crash_diagnosis(),
            "level": "III",
            "manual": False,
            "frozen": frozen(),
        },
        incident="new",
    )
    journal.mark("T1", 75)
    journal.mark("T2", 75)
    return opened.incident or ""


def run_failover(
    journal: JournalBuilder, *, prove: Mapping[str, Any] | None = None, canary_found: int = 4711
) -> str:
    """The execution with all its steps, from the present moment on. Returns its id."""
    opened = journal.add(
        ev.EXECUTION_OPENED,
        {
            "runbook": "postgresql-failover",
            "kind": "failover",
            "digest": "sha256:" + "cd" * 32,
            "mode": "real",
            "trigger": "automatic",
            "vars": {"primary": "pg1", "settings": ["ANY 1 (pg1, pg2, pg3)"], "last_acked_canary": 4711},
            "steps": [{"id": s, "action": f"postgresql.{s}"} for s in STEPS],
            "expected_ms": 400,
        },
        execution="new",
    )
    run = opened.execution or ""
    journal.step(run, "lock", {"locked": ["pg2", "pg3"], "left_out": {}}, took_ms=12, changing=False)
    journal.step(run, "last_look", {"answer": "refused"}, took_ms=2, changing=False)
    journal.mark("T4", execution=run)
    conninfo = "ALTER SYSTEM SET primary_conninfo = ''"
    journal.step(run, "detach", {"detached": ["pg2", "pg3"]}, took_ms=25, commands=[f"pg2: {conninfo}"])
    journal.mark("T5", execution=run)
    journal.step(run, "prove", prove_output(**(prove or {})), took_ms=8, changing=False)
    skipped = {"step": "catch_up", "outcome": "skipped", "reason": "`steps.prove.source is string` is false"}
    journal.add(ev.STEP_RESULT, {**skipped, "output": {}, "attempt": 1}, execution=run)
    journal.ms += 1
    journal.step(run, "names", {"setting": 'ANY 1 ("pg3")'}, took_ms=6)
    journal.step(run, "fence", {"old_primary": "unreachable"}, took_ms=3, detail="pg1 does not answer")
    journal.step(run, "promote", {"member": "pg2", "timeline": 2, "lsn": LSN + 400}, took_ms=60)
    journal.mark("T6", execution=run)
    journal.step(run, "repoint", {"attached": ["pg3"], "missing": []}, took_ms=30)
    journal.mark("T7", execution=run)
    canary = {"canary_found": canary_found, "last_acked": 4711, "canary_written": 4712, "member": "pg2"}
    journal.step(run, "verify", canary, took_ms=15)
    journal.mark("T8", execution=run)
    journal.add(ev.EXECUTION_CLOSED, {"state": "succeeded", "reason": ""}, execution=run)
    return run


def decision(journal: JournalBuilder, verb: str = "act", **failed: str) -> None:
    journal.add(
        ev.DECISION_MADE,
        {
            "verb": verb,
            "runbook": "postgresql-failover",
            "candidate": "pg2",
            "would": False,
            "reason": "; ".join(failed.values()) or crash_diagnosis()["sentence"],
            "stopped_by": next(iter(failed), None),
            "gates": gates(**failed),
        },
    )


def failover_journal() -> JournalBuilder:
    """One incident from the crash to its closing: failover, verdict, rejoin, pages."""
    journal = JournalBuilder()
    journal.at(-60_000).add(ev.DAEMON_STARTED, {"version": "0.1.0", "pid": 4242})
    journal.add(ev.SERVICE_PRIMARY, {"member": "pg1", "timeline": 1, "why": "the only one"})
    open_crash(journal)
    journal.at(77)
    decision(journal)
    journal.mark("T3", 78)
    run = run_failover(journal.at(79))
    verdict_of(journal, run)
    journal.add(ev.SERVICE_PRIMARY, {"member": "pg2", "timeline": 2, "why": f"promoted by {run}"})
    journal.at(300).add(ev.INCIDENT_RECOVERED, {"primary": "pg2"})
    journal.add(
        ev.PAGE_QUEUED, {"page": "PAGE-1", "severity": "info", "summary": "recovered: pg2 accepts writes"}
    )
    journal.at(350).add(ev.PAGE_DELIVERED, {"page": "PAGE-1", "channel": "alertmanager"}, incident="")
    journal.at(2_900).mark("T9")
    head = journal.events[-1]
    closing = {"head_seq": head.seq, "head_hash": head.hash, "signature": "c2lnbmVk"}
    journal.add(ev.INCIDENT_CLOSED, {"reason": "recovered, and redundancy is restored", **closing})
    return journal


def verdict_of(journal: JournalBuilder, run: str) -> None:
    """Judged from the journal itself, as the daemon does."""
    from controller.evidence import judge_rpo
    from controller.evidence_inputs import gather_rpo_inputs

    inputs = gather_rpo_inputs(journal.events, journal.incident, run)
    journal.add(ev.RPO_VERDICT, judge_rpo(inputs).to_json(), execution=run)


def cut(events: Sequence[Event]) -> Iterator[list[Event]]:
    """The journal as a dead daemon left it, cut off after each record in turn."""
    for length in range(len(events) + 1):
        yield list(events[:length])
