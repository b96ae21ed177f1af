"""Units of a real service manager are started, stopped and restarted, once, and taken back as they were."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.local import LocalAccess
from model.execution import ExecutionState
from tests.generic_bench import GenericBench, at_once, step, succeeded
from tests.user_manager import UserManager, running_user_manager

_numbers = itertools.count()


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    with running_user_manager(tmp_path_factory.mktemp("systemd"), LocalAccess("here")) as running:
        yield running


NewUnit = Callable[..., str]


@pytest.fixture
def unit(manager: UserManager, bench: GenericBench, tmp_path: Path) -> NewUnit:
    """`unit(exec_start, started=True)`: name of a new unit, which leaves a line in `starts` each time."""
    bench.replace_node("here", manager)

    def new(what: str = "exec /bin/sleep 1000", *, started: bool = False, more: str = "") -> str:
        name = f"unit{next(_numbers)}.service"
        script = tmp_path / f"{name}.sh"
        script.write_text(f"echo x >> {tmp_path}/starts\n{what}\n")
        manager.add(name, f"[Service]\nExecStart=/bin/sh {script}\n{more}")
        manager.systemctl("daemon-reload")
        if started:
            manager.systemctl("start", name)
        return name

    return new


def options(unit: str, **more: Any) -> dict[str, Any]:
    return {"node": "here", "unit": unit, "manager": "user", **more}


def starts(tmp_path: Path) -> int:
    file = tmp_path / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def active(manager: UserManager, unit: str) -> bool:
    import subprocess

    try:
        manager.systemctl("is-active", unit)
    except subprocess.CalledProcessError:
        return False
    return True


FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")


def then_taken_back(action: str, **given: Any) -> list[dict[str, Any]]:
    return [step(action, with_=given, undo=True, on_failure="undo"), FAILS]


async def test_a_unit_is_started_and_a_second_start_changes_nothing(
    bench: GenericBench, manager: UserManager, unit: NewUnit, tmp_path: Path
) -> None:
    name = unit()
    found = succeeded(await bench.run(at_once("systemd.start", **options(name))))["act"]
    assert (found["active_state"], found["sub_state"], found["changed"]) == ("active", "running", True)
    again = succeeded(await bench.run(at_once("systemd.start", **options(name))))["act"]
    assert again["changed"] is False
    assert starts(tmp_path) == 1


async def test_a_unit_is_stopped(bench: GenericBench, manager: UserManager, unit: NewUnit) -> None:
    name = unit(started=True)
    found = succeeded(await bench.run(at_once("systemd.stop", **options(name))))["act"]
    assert (found["active_state"], found["changed"]) == ("inactive", True)
    assert not active(manager, name)


async def test_a_unit_is_restarted_once_though_the_record_of_it_was_lost(
    bench: GenericBench, manager: UserManager, unit: NewUnit, tmp_path: Path
) -> None:
    name = unit(started=True)
    await bench.dies_before_the_result(at_once("systemd.restart", **options(name)))
    assert active(manager, name)
    found = succeeded(await bench.resume())["act"]
    assert found["changed"] is True
    assert bench.last_result("act")["reason"] == "reconciled"
    assert starts(tmp_path) == 2, "the start before, and one restart"


async def test_a_restart_that_was_never_asked_for_is_made(
    bench: GenericBench, unit: NewUnit, tmp_path: Path
) -> None:
    name = unit(started=True)
    await bench.dies_after_the_intent(at_once("systemd.restart", **options(name)))
    succeeded(await bench.resume())
    assert starts(tmp_path) == 2
    assert bench.intents("act") == 2


@pytest.mark.parametrize(("action", "before"), [("systemd.start", False), ("systemd.stop", True)])
async def test_a_start_or_stop_whose_record_was_lost_is_seen(
    bench: GenericBench, manager: UserManager, unit: NewUnit, action: str, before: bool
) -> None:
    name = unit(started=before)
    await bench.dies_before_the_result(at_once(action, **options(name)))
    assert active(manager, name) is not before
    assert succeeded(await bench.resume())["act"]["changed"] is True
    assert bench.intents("act") == 1


@pytest.mark.parametrize(("action", "before"), [("systemd.start", False), ("systemd.stop", True)])
async def test_a_start_or_stop_that_was_not_made_is_made(
    bench: GenericBench, manager: UserManager, unit: NewUnit, action: str, before: bool
) -> None:
    name = unit(started=before)
    await bench.dies_after_the_intent(at_once(action, **options(name)))
    assert active(manager, name) is before
    succeeded(await bench.resume())
    assert active(manager, name) is not before


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("action", ["systemd.start", "systemd.stop"])
async def test_what_is_taken_back_is_what_the_step_has_done(
    bench: GenericBench, manager: UserManager, unit: NewUnit, action: str, before: bool
) -> None:
    name = unit(started=before)
    result = await bench.run(then_taken_back(action, **options(name)))
    assert result.state is ExecutionState.UNDONE, result.reason
    assert active(manager, name) is before


async def test_a_step_that_died_before_it_acted_takes_nothing_back(
    bench: GenericBench, manager: UserManager, unit: NewUnit
) -> None:
    """Somebody else has started the unit meanwhile."""
    name = unit()
    await bench.dies_after_the_intent(then_taken_back("systemd.start", **options(name)))
    manager.systemctl("start", name)
    result = await bench.resume()
    assert result.state is ExecutionState.UNDONE, result.reason
    assert active(manager, name)


async def test_a_unit_that_dies_at_once_has_not_started(bench: GenericBench, unit: NewUnit) -> None:
    name = unit("exit 7")
    result = await bench.run(at_once("systemd.start", **options(name, settle="500ms")))
    assert result.state is ExecutionState.FAILED
    assert "failed" in result.reason


async def test_a_unit_that_does_its_work_and_ends_has_started(bench: GenericBench, unit: NewUnit) -> None:
    name = unit("exit 0", more="Type=oneshot\n")
    found = succeeded(await bench.run(at_once("systemd.start", **options(name))))["act"]
    assert found["active_state"] == "inactive"
    name = unit("exit 7", more="Type=oneshot\n")
    result = await bench.run(at_once("systemd.start", **options(name)))
    assert result.state is ExecutionState.FAILED


async def test_a_stop_that_takes_too_long_is_unknown(bench: GenericBench, unit: NewUnit) -> None:
    name = unit(started=True, more="ExecStop=/bin/sleep 1000\n")
    steps = [step("systemd.stop", timeout="500ms", with_=options(name), point_of_no_return=True)]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNKNOWN
    assert "deactivating" in result.reason


async def test_a_unit_that_is_not_there_fails_and_its_name_is_no_option(
    bench: GenericBench, unit: NewUnit
) -> None:
    unit()
    result = await bench.run(at_once("systemd.start", **options("no-such.service")))
    assert result.state is ExecutionState.FAILED
    for hostile in ("--all", "a b", "a;b", "$(id)", "*", "../x"):
        result = await bench.run(at_once("systemd.stop", **options("{{ value }}")), value=hostile)
        assert result.state is ExecutionState.UNDONE
        assert "not the name of a unit" in result.reason


async def test_is_active_compares_with_what_is_expected(bench: GenericBench, unit: NewUnit) -> None:
    runs, does_not = unit(started=True), unit()
    for name, expect, good in [
        (runs, "active", True),
        (runs, "inactive", False),
        (does_not, "inactive", True),
        (does_not, "active", False),
        ("no-such.service", "inactive", False),
    ]:
        result = await bench.run([step("systemd.is_active", with_=options(name, expect=expect))])
        assert (result.state is ExecutionState.SUCCEEDED) is good, (name, expect, result.reason)


async def test_a_manager_that_can_not_be_asked_is_unknown(bench: GenericBench, tmp_path: Path) -> None:
    """There is no manager of this account here."""
    result = await bench.run([step("systemd.is_active", with_=options("a.service"))])
    assert bench.last_result("act")["outcome"] == "unknown"
    assert result.state is not ExecutionState.SUCCEEDED


async def test_the_plan_shows_command_place_and_how_the_unit_is(bench: GenericBench, unit: NewUnit) -> None:
    name = unit(started=True)
    view = await bench.plan([step("systemd.restart", with_=options(name), point_of_no_return=True)])
    [row] = view.rows
    assert row.commands == (f"systemctl --user restart -- {name}",)
    assert row.prechecks[0].ok is True
    assert "active (running)" in row.prechecks[0].result


async def test_whether_a_unit_has_done_its_work_unseen_is_not_known(
    bench: GenericBench, unit: NewUnit, tmp_path: Path
) -> None:
    name = unit("exit 0", more="Type=oneshot\n")
    await bench.dies_before_the_result(at_once("systemd.start", **options(name)))
    result = await bench.resume()
    assert result.state is ExecutionState.UNKNOWN
    assert starts(tmp_path) == 1
