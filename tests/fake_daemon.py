"""A daemon that decides nothing: the real admin API on a real socket, driven by a stand-in for `Control`.

What is tested with it is the contract between the daemon, its API and the command line.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from config.schema import Estate
from controller.api.admin import AdminServer
from controller.api.control import Caller
from model import events as ev
from model.disaster import Tier
from model.events import Event

ESTATE = """
configVersion: 1
daemon: {state_dir: /nonexistent/state, socket: /nonexistent/admin.sock}
sites: {dc1: {role: primary}, dc2: {role: standby}}
nodes:
  node1: {site: dc1, address: 10.0.0.1}
  node2: {site: dc2, address: 10.0.0.2}
people:
  li.wei: {name: Li Wei, os_users: [liwei, nobody]}
  anna: {name: Anna, os_users: [anna]}
services:
  orders:
    engine: postgresql
    postgresql:
      synchronous_standby_names: ANY 1 (pg2)
      roles:
        monitor: {user: m}
        control: {user: c}
        replication: {user: r}
    members:
      pg1: {node: node1, role: primary, data_dir: /d1, bin_dir: /b, control: pg_ctl}
      pg2: {node: node2, role: standby, data_dir: /d2, bin_dir: /b, control: pg_ctl}
"""


def estate() -> Estate:
    return Estate.model_validate(yaml.safe_load(ESTATE))


def member(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name, "role": "standby", "node": "node1", "site": "dc1", "health": "up", "why": "",
        "age_ms": 120, "in_recovery": True, "timeline": 1, "position": "0/3000060", "lag_bytes": 2048,
        "sync_state": "quorum", "canary_n": 7, **changes,
    }  # fmt: skip


def status_body() -> dict[str, Any]:
    return {
        "daemon": {
            "version": "0.1.0", "leader": True, "epoch": 3, "estate_digest": "abc", "journal_ok": True,
            "uptime_s": 65, "estate_error": None,
        },
        "services": [
            {
                "name": "orders", "health": "up", "code": "Healthy", "sentence": "All is well.",
                "sentence_zh": "一切正常。", "mode": "act", "paused": None, "blocked": None, "primary": "pg1",
                "profile": "balanced", "rpo_s": 0.0, "rto_s": 30.0, "tolerance": "", "incident": None,
                "execution": None, "decision": {},
                "members": [
                    member("pg1", role="primary", in_recovery=False, lag_bytes=None, sync_state=None),
                    member("pg2", site="dc2"),
                ],
            }
        ],
        "incidents_open": [],
        "approvals": [],
    }  # fmt: skip


class FakeControl:
    """Answers what it was told to answer and remembers how it was called.

    answers: method → JSON, or an exception to raise, or a function of the call's arguments.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {"status": status_body()}

    def _answer(self, method: str, **arguments: Any) -> Any:
        self.calls.append((method, arguments))
        answer = self.answers.get(method, {})
        if callable(answer):
            answer = answer(**arguments)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def status(self) -> dict[str, Any]:
        return self._answer("status")

    def explain(self, service: str) -> dict[str, Any]:
        return self._answer("explain", service=service)

    async def switchover(self, service: str, *, to: str | None, dry_run: bool, caller: Caller) -> Any:
        return self._answer("switchover", service=service, to=to, dry_run=dry_run, caller=caller)

    async def failover(
        self,
        service: str,
        *,
        to: str | None,
        override: Sequence[str],
        reason: str,
        dry_run: bool,
        caller: Caller,
    ) -> Any:
        return self._answer(
            "failover",
            service=service,
            to=to,
            override=override,
            reason=reason,
            dry_run=dry_run,
            caller=caller,
        )

    async def pause(self, service: str, *, for_s: float, reason: str, caller: Caller) -> Any:
        return self._answer("pause", service=service, for_s=for_s, reason=reason, caller=caller)

    async def resume(self, service: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("resume", service=service, reason=reason, caller=caller)

    async def acknowledge(self, service: str, *, comment: str, caller: Caller) -> Any:
        return self._answer("acknowledge", service=service, comment=comment, caller=caller)

    async def approve(self, approval: str, *, caller: Caller) -> Any:
        return self._answer("approve", approval=approval, caller=caller)

    async def reject(self, approval: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("reject", approval=approval, reason=reason, caller=caller)

    async def resume_execution(self, execution: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("resume_execution", execution=execution, reason=reason, caller=caller)

    async def pause_execution(self, execution: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("pause_execution", execution=execution, reason=reason, caller=caller)

    async def reconcile_execution(self, execution: str) -> Any:
        return self._answer("reconcile_execution", execution=execution)

    async def say_of_step(
        self, execution: str, step: str, *, word: Any, kind: Any, reason: str, caller: Caller
    ) -> Any:
        return self._answer(
            "say_of_step", execution=execution, step=step, word=word, kind=kind, reason=reason, caller=caller
        )

    async def abort_execution(self, execution: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("abort_execution", execution=execution, reason=reason, caller=caller)

    async def reload(self) -> Any:
        return self._answer("reload")

    async def acknowledge_incident(self, incident: str, *, comment: str, caller: Caller) -> Any:
        return self._answer("acknowledge_incident", incident=incident, comment=comment, caller=caller)

    async def incident_reported(self, incident: str, *, to: str, comment: str, caller: Caller) -> Any:
        return self._answer("incident_reported", incident=incident, to=to, comment=comment, caller=caller)

    async def close_incident(self, incident: str, *, reason: str, caller: Caller) -> Any:
        return self._answer("close_incident", incident=incident, reason=reason, caller=caller)

    async def declare_disaster(
        self, *, tier: Tier, scope: str, reason: str, ago_s: float, dry_run: bool, caller: Caller
    ) -> Any:
        return self._answer(
            "declare_disaster",
            tier=tier,
            scope=scope,
            reason=reason,
            ago_s=ago_s,
            dry_run=dry_run,
            caller=caller,
        )

    def incident_plan(self, incident: str) -> Any:
        return self._answer("incident_plan", incident=incident)

    def site_plan(self, site: str, *, back: bool, caller: Caller) -> Any:
        return self._answer("site_plan", site=site, back=back, caller=caller)

    async def merge_incidents(self, incident: str, *, part: str, reason: str, caller: Caller) -> Any:
        return self._answer("merge_incidents", incident=incident, part=part, reason=reason, caller=caller)

    async def split_incident(self, incident: str, *, service: str, reason: str, caller: Caller) -> Any:
        return self._answer(
            "split_incident", incident=incident, service=service, reason=reason, caller=caller
        )

    async def run_probe(self, name: str, type_: str | None) -> Any:
        return self._answer("run_probe", name=name, type_=type_)

    async def inspect(self, service: str | None, *, actor: str) -> Any:
        return self._answer("inspect", service=service, actor=actor)

    def inspection_progress(self) -> dict[str, Any]:
        return self._answer("inspection_progress")

    def last_inspection(self) -> Any:
        return self._answer("last_inspection")

    async def plan(self, service: str, runbook: str, to: str | None, given: Mapping[str, Any]) -> Any:
        return self._answer("plan", service=service, runbook=runbook, to=to, given=given)

    async def run_runbook(self, service: str, runbook: str, **more: Any) -> Any:
        return self._answer("run_runbook", service=service, runbook=runbook, **more)


class FakeJournal:
    """Events in a list; `append` tells whoever listens."""

    def __init__(self) -> None:
        self.records: list[Event] = []
        self.listen: Callable[[], None] = lambda: None

    def append(
        self,
        type_: str,
        data: Mapping[str, Any],
        *,
        execution: str | None = None,
        incident: str | None = None,
        service: str | None = "orders",
    ) -> Event:
        seq = len(self.records) + 1
        event = Event(
            seq, 1, "test", "boot", seq * 1_000_000, f"2026-11-25T12:00:{seq % 60:02d}.000000Z", None,
            type_, 1, service, incident, execution, "li.wei", data, "0", "0",
        )  # fmt: skip
        self.records.append(event)
        self.listen()
        return event

    def events(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> list[Event]:
        wanted = None if types is None else set(types)
        return [
            e
            for e in list(self.records)
            if e.seq > since_seq
            and (wanted is None or e.type in wanted)
            and service in (None, e.service)
            and incident in (None, e.incident)
            and execution in (None, e.execution)
        ]

    # --- the life of an execution

    def open_execution(
        self, execution: str, steps: Sequence[str], incident: str | None = None, rto_ms: int | None = None
    ) -> None:
        data = {
            "runbook": "postgresql-switchover", "digest": "d", "mode": "real", "trigger": "manual",
            "vars": {}, "steps": [{"id": s, "action": "pg.test"} for s in steps], "expected_ms": None,
            "rto_ms": rto_ms,
        }  # fmt: skip
        self.append(ev.EXECUTION_OPENED, data, execution=execution, incident=incident)

    def begin_step(self, execution: str, step: str) -> None:
        data = {"step": step, "action": "pg.test", "attempt": 1, "changing": True, "commands": ["do it"]}
        self.append(ev.STEP_INTENT, {**data, "inputs": {}}, execution=execution)

    def end_step(self, execution: str, step: str, outcome: str = "succeeded", detail: str = "done") -> None:
        data = {"step": step, "outcome": outcome, "output": {}, "detail": detail, "took_ns": 12_000_000}
        self.append(ev.STEP_RESULT, {**data, "reason": "", "attempt": 1}, execution=execution)

    def close_execution(self, execution: str, state: str, reason: str = "") -> None:
        self.append(ev.EXECUTION_CLOSED, {"state": state, "reason": reason}, execution=execution)


class FakeDaemon:
    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.control = FakeControl()
        self.journal = FakeJournal()
        self.estate = estate()

    def server(self) -> AdminServer:
        return AdminServer(
            self.control,
            estate=lambda: self.estate,
            read_events=self.journal.events,
            socket=self.socket,
            group="nobody-has-this-group",
        )


@contextmanager
def running_daemon(socket: Path) -> Iterator[FakeDaemon]:
    """In a thread of its own, so that a test can use the blocking client."""
    daemon = FakeDaemon(socket)
    started, stopping = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    failed: list[BaseException] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loops.append(loop)
        server = daemon.server()
        try:
            await server.start()
        except BaseException as error:
            failed.append(error)
            started.set()
            return
        daemon.journal.listen = lambda: loop.call_soon_threadsafe(server.feed.wrote)
        started.set()
        await stopping.wait()
        await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    started.wait(10)
    if failed:
        raise failed[0]
    try:
        yield daemon
    finally:
        loops[0].call_soon_threadsafe(stopping.set)
        thread.join(10)
        assert not thread.is_alive(), "the API did not stop"
