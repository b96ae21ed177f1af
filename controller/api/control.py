"""What the API needs of the daemon, and nothing more: its tests drive it with a stand-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from model.disaster import Tier
from model.events import Event
from model.people import QuestionKind, Word

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `person` is the id of a person of the estate, `os_user` the account of the connection;
    requester and approver are compared by person, never by account."""

    person: str
    os_user: str


class Control(Protocol):
    """The daemon as the API sees it. Every method raises BcmError for what a person can do something about.

    `status` and `explain` are answered from memory and return at once. The results are JSON-ready.
    """

    def status(self) -> Json:
        """{"daemon": {version, leader, epoch, estate_digest, journal_ok, uptime_s, estate_error},
        "services": [{name, health, code, sentence, sentence_zh, mode, paused, blocked, primary, profile,
        rpo_s, rto_s, tolerance, "readiness": {verdict: ready | partial | not-ready, why}, incident,
        execution, execution_left_ms: of the RTO, decision, "members": [{name, role, node, site, health,
        why, age_ms, in_recovery, timeline, position, lag_bytes, sync_state, canary_n}]}],
        "probes": [{name, type, about, health, why, age_ms, flapping}],
        "warnings": [{code, about, part, sentence, meaning, meaning_zh, since, severity,
        source: alertmanager, of an alert}],
        "incidents_open": [{id, service, code, level, recovered, elapsed_s, commander, acknowledged, reported,
        due: [{what, office, left_s}], missed, part_of, and of a declared disaster: tier, scope,
        plan: {state, moved, of}}],
        "approvals": [{id, service, incident, what, runbook, to, requester, level, needed, given, missing,
        may_approve: None for everybody, needs: in words, expires_in_s}]}

        paused and blocked: why, or None. Each service has the `warnings` that concern it."""
        ...

    def explain(self, service: str) -> Json:
        """{"service", "diagnosis": Diagnosis.to_json(), "decision": Decision.to_json(), "would", "view",
        "probes", "warnings": those that concern it, as in `status`}"""
        ...

    async def switchover(self, service: str, *, to: str | None, dry_run: bool, caller: Caller) -> Json:
        """{"execution", "incident", "state": "running" | "waiting_for_approval", "approval"}; a dry run gives
        the plan instead. Raises HeldError with the gate that holds it."""
        ...

    async def mend(self, service: str, *, kind: str, member: str, dry_run: bool, caller: Caller) -> Json:
        """kind: of runbook: `drain` takes a member out of use, `restore` puts it back. As `switchover`."""
        ...

    async def failover(
        self,
        service: str,
        *,
        to: str | None,
        override: Sequence[str],
        reason: str,
        dry_run: bool,
        caller: Caller,
    ) -> Json:
        """As `switchover`. override: rules (`S2`, `S3`, …) that the caller overrides by name, with the reason
        that lands in the evidence."""
        ...

    async def pause(self, service: str, *, for_s: float, reason: str, caller: Caller) -> Json:
        """Hands off the service for `for_s` seconds (S7)."""
        ...

    async def resume(self, service: str, *, reason: str, caller: Caller) -> Json:
        """Ends a pause."""
        ...

    async def acknowledge(self, service: str, *, comment: str, caller: Caller) -> Json:
        """Unblocks the service after an automatic failover (S8)."""
        ...

    async def approve(self, approval: str, *, caller: Caller) -> Json:
        """{"service", "approval", "incident", "execution", "needs",
        "state": "approved" | "running" | "waiting_for_approval"}: with `approved` the execution opens a
        moment later; with `waiting_for_approval` another person is needed, too. Raises HeldError where this
        person can't approve it, or nobody any more."""
        ...

    async def reject(self, approval: str, *, reason: str, caller: Caller) -> Json:
        """As `approve`, with "state": "rejected"."""
        ...

    async def resume_execution(self, execution: str, *, reason: str, caller: Caller) -> Json:
        """Ends a pause, or goes on with one that nobody runs: {"service", "execution", "state"}."""
        ...

    async def abort_execution(self, execution: str, *, reason: str, caller: Caller) -> Json: ...

    async def pause_execution(self, execution: str, *, reason: str, caller: Caller) -> Json:
        """{"service", "execution", "state": "pausing", "rests": where, in words}"""
        ...

    async def reconcile_execution(self, execution: str) -> Json:
        """{"service", "execution", "items": [`runbooks.reconcile.Found.to_json()`]}; changes nothing."""
        ...

    async def say_of_step(
        self,
        execution: str,
        step: str,
        *,
        word: Word,
        kind: QuestionKind | None,
        reason: str,
        caller: Caller,
    ) -> Json:
        """One person's word to what a step asks, or that it is to be skipped or tried again. {"service",
        "execution", "step", "word", "state"}; with the state `waiting_for_approval` another person is needed,
        too (`needs`). Raises HeldError where this person can't say it, or it can't be."""
        ...

    async def reload(self) -> Json:
        """Reads the estate again. Raises EstateError and keeps the old one if it can't be used."""
        ...

    async def acknowledge_incident(self, incident: str, *, comment: str, caller: Caller) -> Json:
        """Confirms it and its level. Raises HeldError where another office confirms it."""
        ...

    async def incident_reported(self, incident: str, *, to: str, comment: str, caller: Caller) -> Json:
        """Notes that it was reported to `to`."""
        ...

    async def close_incident(self, incident: str, *, reason: str, caller: Caller) -> Json:
        """Closes one that is recovered, without waiting for redundancy, with its parts; ends or withdraws a
        declared disaster. Raises HeldError if it is not recovered. {"incident", "service", "closed",
        "closed_with_it": [ids], "still_open": [ids]}"""
        ...

    async def declare_disaster(
        self, *, tier: Tier, scope: str, reason: str, ago_s: float, dry_run: bool, caller: Caller
    ) -> Json:
        """scope: `site:NAME` or `service:NAME`; ago_s: for how long it has lasted already. {"incident" (None
        of a dry run), "tier", "scope", "proposal", "advice", "services", "running": open executions, "level",
        "plan": SitePlan.to_json()}. Raises UsageError, HeldError."""
        ...

    def incident_plan(self, incident: str) -> Json:
        """`controller.disaster.progress.Progress.to_json()`. Raises UsageError where nobody declared it."""
        ...

    def site_plan(self, site: str, *, back: bool, caller: Caller) -> Json:
        """Planned work: who leaves the site, or comes back to it: `SitePlan.to_json()` with `site` and
        `direction`. Raises UsageError."""
        ...

    async def merge_incidents(self, incident: str, *, part: str, reason: str, caller: Caller) -> Json:
        """`part` becomes a part of `incident`. Raises UsageError where that can't be."""
        ...

    async def split_incident(self, incident: str, *, service: str, reason: str, caller: Caller) -> Json:
        """The service's part goes apart again. Raises UsageError where there is none."""
        ...

    async def run_probe(self, name: str, type_: str | None) -> Json:
        """One attempt apart from the schedule: see `controller.probe_runs.ProbeRuns.run`."""
        ...

    async def inspect(self, service: str | None, *, actor: str) -> Json:
        """Every check, once and now: `controller.inspection.words.Inspection.to_json()`, with `since` (what
        changed since the one before, or None) and `journaled`."""
        ...

    def inspection_progress(self) -> Json:
        """{"running", "done", "total"}: checks that have ended, of all."""
        ...

    def last_inspection(self) -> Json | None:
        """As `inspect`; one of an earlier process as {"recorded": {at, counts, findings, …}}."""
        ...

    async def plan(self, service: str, runbook: str, to: str | None, given: Mapping[str, Any]) -> Json:
        """What it would do: `runbooks.plan_view.PlanView.to_json()` with `gates` and `stopped_by`. given:
        variables by name."""
        ...

    async def run_runbook(
        self,
        service: str,
        runbook: str,
        *,
        to: str | None,
        given: Mapping[str, Any],
        reason: str,
        dry_run: bool,
        caller: Caller,
    ) -> Json:
        """Any runbook by its name; as `switchover`."""
        ...


class ReadEvents(Protocol):
    """The journal's reading half, as of `model.ports.Journal.events`. Called in a worker thread."""

    def __call__(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]: ...
