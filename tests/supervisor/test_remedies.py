"""What engines contribute to the path that acts: the tables fit together, and mending asks them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from controller.codes import CODES
from controller.diagnose import with_runbook
from controller.engines import ENGINES, HTTP, MARIADB, Engine
from controller.remedies import replicated
from controller.remedies.remedy import MENDS, Wayward
from controller.remedies.table import REMEDIES
from controller.remedies.unmoved import UNMOVED
from controller.supervisor.judgement import candidates
from controller.supervisor.mending import DETACHED_S, Mending
from controller.views import MemberView, ServiceView
from model.diagnosis import CodeInfo, Diagnosis
from model.health import PROFILES, Health, ProbeState
from runbooks.library import load_runbook

NOW_S = 100.0


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda e: e.name)
def test_an_engine_ships_the_runbooks_that_it_names_for_itself(engine: Engine) -> None:
    for kind, name in engine.runbooks.items():
        runbook = load_runbook(name)
        assert (runbook.kind.value, runbook.engine) == (kind, engine.name)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda e: e.name)
def test_an_engine_that_moves_its_primary_says_who_takes_over_and_what_is_lost(engine: Engine) -> None:
    assert engine.moves == (REMEDIES[engine.name] is not UNMOVED) or engine.name == "http"


@pytest.mark.parametrize("info", [i for i in CODES.values() if i.remedy], ids=lambda i: i.code)
def test_the_remedy_of_a_code_is_the_runbook_of_the_services_own_engine(info: CodeInfo) -> None:
    assert info.runbook is None
    for engine in ENGINES.values():
        assert with_runbook(info, engine).runbook == engine.runbooks.get(info.remedy or "")


def test_where_nothing_can_be_moved_nobody_is_a_candidate() -> None:
    members, choice, proof = candidates(_pool("up"))
    assert (members, choice.candidate) == ((), None)
    assert "no data" in proof.reason


def test_a_server_that_only_a_session_can_mend_is_left_alone_until_it_answers() -> None:
    by_session = replace(MARIADB, through_node=False)
    for engine, waits in ((replace(MARIADB, through_node=True), False), (by_session, True)):
        gone = _member("db1", Health.DOWN, engine=engine)
        view = replace(_pool("up"), engine=engine, primary="db2", members=[gone])
        found = replicated.wayward(view, _healthy(), ("db1",))
        assert found == (() if waits else (Wayward("db1"),))


def test_a_server_that_is_a_unit_is_started_and_brought_back() -> None:
    by_session = replace(MARIADB, through_node=False)
    gone = replace(_member("db1", Health.DOWN, engine=by_session), startable=True)
    view = replace(_pool("up"), engine=by_session, primary="db2", members=[gone])
    assert replicated.wayward(view, _healthy(), ("db1",)) == (Wayward("db1"),)


class _NoStore:
    """As much of an estate and a service as mending asks for."""

    engine = "http"


def test_a_pool_has_its_members_drained_and_restored_without_a_primary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """drain at once, restore only when it has stayed up: whatever the engine says."""

    def pool(view: ServiceView, _found: Diagnosis, _retired: Collection[str]) -> Sequence[Wayward]:
        return [
            Wayward(m.name, "restore", patient=True) if m.fresh else Wayward(m.name, "drain")
            for m in view.members
        ]

    monkeypatch.setitem(
        REMEDIES,
        "http",
        replace(UNMOVED, wayward=pool),
    )
    mending = Mending(_NoStore(), _NoStore())
    down, up = _judged("down", NOW_S), _judged("up", NOW_S)
    assert mending.due(down, _ledger()) == Wayward("web1", "drain")
    assert mending.due(up, _ledger()) is None
    later = _judged("up", NOW_S + DETACHED_S)
    assert mending.due(later, _ledger()) == Wayward("web1", "restore", patient=True)
    assert {"drain", "restore"} <= MENDS


class _Judged:
    def __init__(self, view: ServiceView, at_s: float) -> None:
        self.view, self.at_s, self.diagnosis = view, at_s, _healthy()


class _Ledger:
    primary = None
    retired = ()


def _ledger() -> _Ledger:
    return _Ledger()


def _judged(health: str, at_s: float) -> _Judged:
    return _Judged(_pool(health), at_s)


def _healthy() -> Diagnosis:
    return Diagnosis("shop", CODES["Healthy"], None, True, NOW_S, None, None)


def _pool(health: str) -> ServiceView:
    web = replace(HTTP, runbooks={"drain": "http-drain", "restore": "http-restore"})
    return ServiceView(
        "shop", PROFILES["balanced"], 0.0, None, [_member("web1", Health(health), engine=web)], engine=web
    )


def _member(name: str, health: Health, *, engine: Engine) -> MemberView:
    state = ProbeState(f"shop/{name}", "http", health)
    probe = engine.probe
    return MemberView(
        name,
        name,
        "pool",
        f"node-{name}",
        "a",
        100,
        False,
        {probe: state},
        engine=engine,
    )
