"""What each check makes of what it finds, on servers and nodes that answer what they are told."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.schema import Estate
from controller.declared import DeclaredProbes
from controller.inspection import estate_checks, node_checks, probe_checks, service_checks
from controller.inspection.ground import DaemonSide, Ground
from controller.inspection.words import Line, Run
from controller.supervisor.probing import ProbeFactory, Watch
from model import events as ev
from model.errors import NodeAccessError, SecretError
from model.events import Event
from model.observation import Failure, Observation, Outcome
from model.ports import CommandResult, SqlError
from tests.fake_daemon import ESTATE, FakeJournal
from tests.virtual_clock import VirtualClock

SYSTEM = "7000000000000000001"
AT = 16 << 20
GIB = 1 << 30
CLOCK = VirtualClock()


class Secrets:
    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def get(self, reference: Any) -> str:
        if str(reference) in self.missing:
            raise SecretError("the secret can't be read: gone", where=str(reference), hint="check the path")
        return "s3cret-value"


@dataclass
class Node:
    """answers: program → what it prints, or an error to raise, or an exit code."""

    answers: dict[str, Any] = field(default_factory=dict)

    async def run(self, argv: Sequence[str], *, user: str | None = None, **_more: Any) -> CommandResult:
        answer = self.answers.get(argv[0], "")
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return CommandResult(answer, "", f"sudo: {user} may not", 0.01)
        return CommandResult(0, str(answer), "", 0.01)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return " ".join(argv)


@dataclass
class Sql:
    rows: Any = ((GIB, 10 * GIB),)

    async def connect(self, *_args: Any, **_more: Any) -> Any:
        if isinstance(self.rows, Exception):
            raise self.rows
        return self

    async def query(self, *_args: Any, **_more: Any) -> list[tuple[Any, ...]]:
        return list(self.rows)

    async def close(self) -> None:
        """Nothing to close."""


class ScriptedGround(Ground):
    """members: name → facts, or the failure of its probe."""

    async def read(self, watch: Watch, timeout_s: float) -> Observation:
        facts = self.members_told[watch.target.partition("/")[2]]  # type: ignore[attr-defined]
        failed = isinstance(facts, Failure)
        outcome, now_s = Outcome.FAILED if failed else Outcome.SUCCEEDED, CLOCK.monotonic_s()
        failure, known = (facts, {}) if failed else (None, facts)
        return Observation(watch.target, watch.type, "t", outcome, now_s, now_s, 0.0, failure, "", known)


def facts_of(member: str, **more: Any) -> dict[str, Any]:
    primary = member == "pg1"
    shape: dict[str, Any] = {
        "in_recovery": not primary, "system_identifier": SYSTEM, "timeline": 1, "position": AT,
        "walreceiver": not primary, "wal_log_hints": True, "data_checksums": False, "max_wal_senders": 10,
    }  # fmt: skip
    if primary:
        row = {"application_name": "pg2", "sync_state": "quorum", "state": "streaming"}
        shape |= {"sync_names": "ANY 1 (pg2)", "current_lsn": AT, "standbys": [row]}
    return {**shape, **more}


def ground(
    *,
    nodes: dict[str, Node] | None = None,
    sql: Any = None,
    secrets: Any = None,
    events: Sequence[Event] = (),
    daemon: DaemonSide | None = None,
    change: Any = None,
    **members: Any,
) -> Ground:
    document = yaml.safe_load(ESTATE)
    for name in ("node1", "node2"):
        document["nodes"][name]["access"] = "local"
    if change is not None:
        change(document)
    estate, secrets = Estate.model_validate(document), secrets or Secrets()
    made = ScriptedGround(
        estate=estate,
        clock=CLOCK,
        secrets=secrets,
        nodes=nodes if nodes is not None else {"node1": Node(), "node2": Node()},
        sql=sql or Sql(),
        probes=ProbeFactory(estate, CLOCK, secrets),
        declared=DeclaredProbes(estate, CLOCK, secrets, {}),
        read_events=lambda *, types=None, service=None: list(events),
        state_dir=Path("/nonexistent"),
        daemon=daemon,
    )
    made.members_told = {"pg1": facts_of("pg1"), "pg2": facts_of("pg2"), **members}  # type: ignore[attr-defined]
    return made


async def found(run: Run, made: Ground) -> list[tuple[str, str, str]]:
    lines: list[Line] = [line async for line in run(made)]
    await made.aclose()
    return [(line.about.removeprefix("service/"), line.result.value, line.text) for line in lines]


async def test_a_probe_that_can_not_be_made_here_does_not_hide_the_others() -> None:
    def two(document: dict[str, Any]) -> None:
        tls = {"host": "h", "port": 1, "ca_file": "/nonexistent.pem"}
        document["probes"] = {"web": {"type": "tls", "service": "orders", "options": tls}}

    told = await found(probe_checks.probes, ground(change=two))
    assert sorted((about, result) for about, result, _t in told) == [
        ("orders", "failed"),
        ("orders/pg1", "ok"),
        ("orders/pg2", "ok"),
    ]


async def test_a_service_that_is_well_is_ready() -> None:
    assert {r for _a, r, _t in await found(service_checks.candidate, ground())} == {"ok"}
    assert await found(service_checks.copies, ground()) == [("orders", "ok", "1 standbys stream from pg1")]
    assert {r for _a, r, _t in await found(service_checks.sync_state, ground())} == {"ok"}
    assert {r for _a, r, _t in await found(service_checks.rewind, ground())} == {"ok"}


async def test_without_a_standby_there_is_no_candidate_no_copy_and_no_state() -> None:
    made = {"pg2": Failure.REFUSED}
    assert {r for _a, r, _t in await found(service_checks.candidate, ground(**made))} == {"failed"}
    ((_about, result, text),) = await found(service_checks.copies, ground(**made))
    assert (result, "pg2" in text) == ("failed", True)
    states = await found(service_checks.sync_state, ground(pg1=facts_of("pg1", standbys=[]), **made))
    assert ("orders/pg2", "failed", "pg2 does not stream from pg1") in states


@pytest.mark.parametrize(
    ("hints", "sums", "result"),
    [(True, False, "ok"), (False, True, "ok"), (False, False, "failed"), (None, None, "unknown")],
)
async def test_what_can_not_be_rewound_is_found_before_it_has_to_be(
    hints: bool | None, sums: bool | None, result: str
) -> None:
    told = facts_of("pg2", wal_log_hints=hints, data_checksums=sums)
    assert (await found(service_checks.rewind, ground(pg2=told)))[1][:2] == ("orders/pg2", result)


async def test_a_setting_that_is_looser_than_stated_or_names_a_stranger_is_found() -> None:
    loose = await found(service_checks.sync_state, ground(pg1=facts_of("pg1", sync_names="")))
    assert any(r == "failed" and "commits wait for no standby" in t for _a, r, t in loose)
    stranger = facts_of("pg1", sync_names="ANY 1 (pg2, pg9)")
    assert any(
        r == "failed" and "pg9" in t
        for _a, r, t in await found(service_checks.sync_state, ground(pg1=stranger))
    )


async def test_what_stands_in_the_way_is_read_from_the_journal() -> None:
    journal = FakeJournal()
    assert await found(service_checks.standing, ground()) == [
        ("orders", "ok", "mode observe; not paused, not blocked, nothing is being executed")
    ]
    journal.append(ev.SERVICE_BLOCKED, {"reason": "EXE-1 failed over"})
    until_ns = int((CLOCK.wall_s() + 60) * 1e9)
    journal.append(ev.SERVICE_PAUSED, {"until_wall_ns": until_ns, "reason": "a look"})
    journal.open_execution("EXE-7", ["one"])
    told = await found(service_checks.standing, ground(events=journal.records))
    assert [r for _a, r, _t in told] == ["failed", "warning", "warning"]
    assert [t.partition(":")[0] for _a, _r, t in told] == ["EXE-7 is open", "blocked", "paused"]


def ran(*modes_and_took: tuple[str, int]) -> list[Event]:
    """Executions of the failover, whose promotion took so many ms."""
    journal = FakeJournal()
    for number, (mode, took_ms) in enumerate(modes_and_took):
        execution = f"EXE-{number}"
        opened = {"runbook": "postgresql-failover", "mode": mode, "steps": [{"id": "promote", "action": "x"}]}
        journal.append(ev.EXECUTION_OPENED, opened, execution=execution)
        journal.begin_step(execution, "promote")
        result = {"step": "promote", "outcome": "succeeded", "attempt": 1, "took_ns": took_ms * 1_000_000}
        journal.append(ev.STEP_RESULT, result, execution=execution)
        journal.close_execution(execution, "succeeded")
    return journal.records


async def test_the_expected_time_is_that_of_past_steps_by_mode_against_the_objective() -> None:
    past = ran(("real", 2000), ("real", 70_000), ("drill", 1000), ("dry-run", 1))
    told = [
        line
        for line in await found(service_checks.expected_rto, ground(events=past))
        if "failover" in line[2]
    ]
    assert [(r, t.partition(" of ")[0]) for _a, r, t in told] == [
        ("warning", "postgresql-failover: 73.4 s"),
        ("ok", "postgresql-failover: 4.4 s"),
    ]
    assert "95th percentile of 2 real runs" in told[0][2]
    nothing = await found(service_checks.expected_rto, ground())
    assert {r for _a, r, _t in nothing} == {"skipped"}


@pytest.mark.parametrize(
    ("free", "result"),
    [(45 * GIB, "ok"), (9 * GIB, "warning"), (GIB, "failed"), ("rubbish", "unknown"), (1, "failed")],
)
async def test_room_is_compared_with_what_a_rewind_and_a_copy_need(free: int | str, result: str) -> None:
    df = f"Avail 1B-blocks\n{free} {50 * GIB}\n" if isinstance(free, int) else free
    made = ground(nodes={"node1": Node({"df": df}), "node2": Node({"df": df})})
    assert [r for _a, r, _t in await found(node_checks.room, made)] == [result] * 2


async def test_room_is_unknown_where_nobody_says_what_is_needed() -> None:
    made = ground(sql=Sql(SqlError("permission denied", sqlstate="42501")))
    assert {r for _a, r, _t in await found(node_checks.room, made)} == {"unknown"}
    made = ground(pg1=Failure.REFUSED)
    assert {r for _a, r, _t in await found(node_checks.room, made)} == {"unknown"}


async def test_access_is_tried_as_each_account() -> None:
    def none_at_2(document: dict[str, Any]) -> None:
        document["nodes"]["node2"]["access"] = "none"

    error = NodeAccessError("no route", where="node node1", hint="mend it")
    for answer, result in (("", "ok"), (1, "failed"), (error, "failed")):
        made = ground(nodes={"node1": Node({"true": answer})}, change=none_at_2)
        told = {a: r for a, r, _t in await found(node_checks.access, made)}
        assert told == {"node/node1": result, "node/node2": "warning"}


@pytest.mark.parametrize(("ahead_s", "result"), [(0.0, "ok"), (5.0, "warning"), (-5.0, "warning")])
async def test_clocks_are_compared_with_this_hosts(ahead_s: float, result: str) -> None:
    node = Node({"date": f"{CLOCK.wall_s() + ahead_s:.3f}\n"})
    told = await found(node_checks.clocks, ground(nodes={"node1": node}))
    assert [(a, r) for a, r, _t in told] == [("node/node1", result)]
    assert await found(node_checks.clocks, ground(nodes={"node1": Node({"date": "noon"})})) == [
        ("node/node1", "unknown", "`date` says nothing that can be read")
    ]


async def test_a_host_key_that_is_not_known_is_found(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"

    def by_ssh(document: dict[str, Any]) -> None:
        document["nodes"]["node1"] |= {"access": "ssh", "ssh": {"known_hosts": str(known)}}

    assert (await found(node_checks.known_hosts, ground(change=by_ssh)))[0][:2] == ("node/node1", "failed")
    known.write_text("10.0.0.2 ssh-ed25519 AAAA\n")
    assert (await found(node_checks.known_hosts, ground(change=by_ssh)))[0][:2] == ("node/node1", "failed")
    known.write_text("10.0.0.1 ssh-ed25519 AAAA\n")
    assert (await found(node_checks.known_hosts, ground(change=by_ssh)))[0][:2] == ("node/node1", "ok")


async def test_each_secret_is_resolved_wherever_it_is_declared_and_never_shown() -> None:
    def with_secrets(document: dict[str, Any]) -> None:
        document["daemon"]["push_token"] = {"env": "TOKEN"}
        document["nodes"]["node1"] |= {"access": "ssh", "ssh": {"key": {"file": "/etc/key"}}}
        roles = document["services"]["orders"]["postgresql"]["roles"]
        roles["monitor"]["password"] = roles["control"]["password"] = {"file": "/etc/pw"}

    told = await found(estate_checks.secrets, ground(change=with_secrets, secrets=Secrets("file:/etc/key")))
    assert sorted((t.partition(" can")[0], r) for _a, r, t in told) == [
        ("env:TOKEN", "ok"),
        ("file:/etc/key: the secret", "failed"),
        ("file:/etc/pw", "ok"),
    ]
    assert "s3cret-value" not in str(told)


async def test_the_controller_itself(tmp_path: Path) -> None:
    def side(**more: Any) -> Ground:
        shape: dict[str, Any] = {"leads": True, "problem": "", "watchdog_s": 30.0, "undelivered": 0}
        pager = {"pager": {"exec": {"command": ["/bin/true"]}}}
        return ground(daemon=DaemonSide(**{**shape, **more}), change=lambda d: d.update(pager))

    async def result(run: Run, made: Ground) -> str:
        return (await found(run, made))[0][1]

    assert await result(estate_checks.leadership, side()) == "ok"
    assert await result(estate_checks.leadership, side(leads=False, problem="another leads")) == "warning"
    assert await result(estate_checks.leadership, ground()) == "failed"
    listening = ground(change=lambda d: d["daemon"].update(socket=str(tmp_path / "s")))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        assert await result(estate_checks.leadership, listening) == "ok"
    assert await result(estate_checks.watchdog, side()) == "ok"
    assert await result(estate_checks.watchdog, side(watchdog_s=None)) == "warning"
    assert await result(estate_checks.pager, side()) == "ok"
    assert await result(estate_checks.pager, side(undelivered=2)) == "failed"
    assert await result(estate_checks.pager, ground()) == "failed"
    assert await result(estate_checks.own_network, ground()) == "warning"


@pytest.mark.parametrize(
    ("token", "heartbeat", "result"),
    [(True, True, "ok"), (False, True, "failed"), (False, False, "skipped")],
)
async def test_a_token_is_needed_where_something_is_expected_to_be_pushed(
    token: bool, heartbeat: bool, result: str
) -> None:
    def change(document: dict[str, Any]) -> None:
        if token:
            document["daemon"]["push_token"] = {"env": "TOKEN"}
        if heartbeat:
            document["probes"] = {"nightly": {"type": "heartbeat", "service": "orders"}}

    assert (await found(estate_checks.push_token, ground(change=change)))[0][1] == result
