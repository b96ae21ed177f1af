"""exec.run and ssh.run against real programs, here and behind a real sshd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from model.errors import RunbookError
from model.execution import ExecutionState, StepState
from runbooks.lint import lint
from tests.generic_bench import SERVICE, GenericBench, at_once, bench_estate, step, succeeded
from tests.ssh_server import LOOPBACK, SshServer

TEE = ["/usr/bin/tee", "-a"]


@pytest.fixture
async def remote(tmp_path: Path, sshd: SshServer) -> AsyncIterator[GenericBench]:
    """The member `web1` stands on a node behind ssh."""
    settings = sshd.settings().model_dump(mode="json")
    node = {"site": "one", "address": LOOPBACK, "access": "ssh", "ssh": settings}
    made = GenericBench(tmp_path, bench_estate(nodes={"here": node}))
    yield made
    await made.close()


def on(bench: GenericBench, remote: bool) -> dict[str, Any]:
    return {"member": "web1"} if remote else {}


@pytest.fixture(params=["exec.run", "ssh.run"])
def either(request: pytest.FixtureRequest) -> tuple[str, GenericBench, dict[str, Any]]:
    """(action, bench, options that say where)."""
    is_remote = request.param == "ssh.run"
    found = request.getfixturevalue("remote" if is_remote else "bench")
    return request.param, found, {"member": "web1"} if is_remote else {}


Either = tuple[str, GenericBench, dict[str, Any]]


async def test_arguments_arrive_as_they_are(either: Either) -> None:
    action, bench, where = either
    hostile = """a b; $(touch /tmp/x) `id` | & > < * ? ~ " ' \\ \n$HOME {{ self }} é"""
    outputs = succeeded(
        await bench.run(
            at_once(action, command=["/usr/bin/printf", "%s|%s", "{{ value }}", "-"], **where), value=hostile
        )
    )
    assert outputs["act"]["stdout"] == f"{hostile}|-"


async def test_an_unexpected_exit_code_fails_and_an_expected_one_does_not(either: Either) -> None:
    action, bench, where = either
    command = ["/bin/sh", "-c", "echo a >&2; exit 3"]
    failed = await bench.run(at_once(action, command=command, **where))
    assert failed.state is ExecutionState.FAILED
    assert "exit code 3, expected 0: a" in failed.reason
    fine = await bench.run(at_once(action, command=command, exit_codes=[0, 3], **where))
    assert succeeded(fine)["act"]["exit_code"] == 3


async def test_what_can_not_be_started_has_failed_and_is_not_unknown(either: Either) -> None:
    action, bench, where = either
    result = await bench.run(at_once(action, command=["/no/such/program"], **where))
    assert result.state is ExecutionState.FAILED


async def test_a_command_that_does_not_end_is_unknown_and_not_tried_again(
    either: Either, tmp_path: Path
) -> None:
    action, bench, where = either
    begun = tmp_path / "begun"
    script = f"echo x >> {begun}; exec sleep 60"
    steps = [
        step(
            action,
            timeout="1500ms",
            with_={"command": ["/bin/sh", "-c", script], **where},
            point_of_no_return=True,
            retry={"attempts": 3},
        )
    ]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNKNOWN
    assert begun.read_text() == "x\n"


async def test_long_output_is_cut_for_the_journal_and_kept_whole_in_a_file(either: Either) -> None:
    action, bench, where = either
    found = succeeded(await bench.run(at_once(action, command=["/usr/bin/seq", "5000"], **where)))["act"]
    assert found["stdout"].startswith("1\n2\n")
    assert found["stdout"].endswith("\n5000")
    assert "characters left out" in found["stdout"]
    assert len(found["stdout"]) < 4100
    kept = Path(found["output_file"])
    assert "\n2500\n" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_a_secret_goes_in_by_standard_input_and_comes_out_masked(
    either: Either, tmp_path: Path
) -> None:
    action, bench, where = either
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    options = {"command": ["/bin/cat"], "secret_stdin": {"file": str(secret)}, **where}
    found = succeeded(await bench.run(at_once(action, **options)))["act"]
    assert found["stdout"] == "***"
    assert "hunter2" not in bench.text()


async def test_a_secret_in_the_environment_of_a_command_here(bench: GenericBench, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    found = succeeded(
        await bench.run(
            at_once(
                "exec.run",
                command=['echo "$WORD-$TOKEN" | tee "$FILE"'],
                shell=True,
                env={"WORD": "{{ word }}", "FILE": str(tmp_path / "seen")},
                secret_env={"TOKEN": {"file": str(secret)}},
            ),
            word='"; touch /tmp/owned; "',
        )
    )["act"]
    assert (tmp_path / "seen").read_text() == '"; touch /tmp/owned; "-hunter2\n'
    assert found["stdout"] == '"; touch /tmp/owned; "-***'
    assert "hunter2" not in bench.text()


async def test_nothing_of_the_daemons_environment_is_handed_on(
    bench: GenericBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCM_SECRET_OF_THE_DAEMON", "hunter2")
    found = succeeded(await bench.run(at_once("exec.run", command=["/usr/bin/env"], env={"A": "1"})))["act"]
    assert "A=1" in found["stdout"]
    assert "hunter2" not in found["stdout"]


# --- the effect


def leaves(file: Path) -> dict[str, Any]:
    """A command that leaves a line in a file each time, and what says whether it is there."""
    return {
        "command": ["/bin/sh", "-c", 'echo x >> "$1"', "sh", str(file)],
        "effect": ["/usr/bin/test", "-s", str(file)],
        "undo": ["/bin/rm", "-f", str(file)],
    }


async def test_an_effect_whose_record_was_lost_is_seen_and_not_repeated(
    either: Either, tmp_path: Path
) -> None:
    action, bench, where = either
    file = tmp_path / "effect"
    await bench.dies_before_the_result(at_once(action, **leaves(file), **where))
    assert file.read_text() == "x\n"
    succeeded(await bench.resume())
    assert file.read_text() == "x\n"
    assert bench.last_result("act")["reason"] == "reconciled"


async def test_an_effect_that_is_not_there_is_brought_about(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    file = tmp_path / "effect"
    await bench.dies_after_the_intent(at_once(action, **leaves(file), **where))
    assert not file.exists()
    succeeded(await bench.resume())
    assert file.read_text() == "x\n"
    assert bench.intents("act") == 2


async def test_without_a_look_at_its_effect_an_interrupted_run_stays_unknown(
    either: Either, tmp_path: Path
) -> None:
    action, bench, where = either
    file = tmp_path / "effect"
    options = {k: v for k, v in leaves(file).items() if k == "command"}
    await bench.dies_after_the_intent(at_once(action, **options, **where))
    result = await bench.resume()
    assert result.state is ExecutionState.UNKNOWN
    assert not file.exists()


async def test_a_look_that_says_neither_yes_nor_no_leaves_it_unknown(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    options = leaves(tmp_path / "effect") | {"effect": ["/bin/sh", "-c", "exit 2"]}
    await bench.dies_before_the_result(at_once(action, **options, **where))
    result = await bench.resume()
    assert result.state is ExecutionState.UNKNOWN
    assert "ended with 2, not 0 or 1" in result.reason


async def test_the_right_exit_code_without_the_effect_is_a_failure(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    options = {"command": ["/bin/true"], "effect": ["/usr/bin/test", "-e", str(tmp_path / "none")]}
    result = await bench.run(at_once(action, **options, **where))
    assert result.state is ExecutionState.FAILED
    assert "its effect is not there" in result.reason


async def test_a_wrong_end_in_time_is_settled_by_the_effect(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    file = tmp_path / "effect"
    options = leaves(file) | {"command": ["/bin/sh", "-c", 'echo x > "$1"; exec sleep 60', "sh", str(file)]}
    result = await bench.run(
        [step(action, timeout="1500ms", with_={**options, **where}, point_of_no_return=True)]
    )
    succeeded(result)
    assert bench.last_result("act")["reason"] == "reconciled"


async def test_it_is_taken_back_only_if_it_was_done(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    file = tmp_path / "effect"
    steps = [
        step(action, with_={**leaves(file), **where}, undo=True, on_failure="undo"),
        step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo"),
    ]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    assert not file.exists()
    file.write_text("of somebody else\n")
    again = await bench.run(steps)
    assert again.state is ExecutionState.UNDONE, again.reason
    assert file.read_text() == "of somebody else\n"


async def test_what_only_looks_needs_no_undo_and_runs_again_after_a_death(
    either: Either, tmp_path: Path
) -> None:
    action, bench, where = either
    steps = [step(action, with_={"command": ["/bin/true"], "changes": False, **where})]
    assert not lint(bench.made(steps, {}), bench.estate, SERVICE)
    await bench.dies_before_the_result([*steps])
    result = await bench.resume()
    assert result.state is ExecutionState.UNDONE, "nothing was past a point of no return"


# --- what may not be written


def problems(bench: GenericBench, steps: list[dict[str, Any]], **variables: Any) -> str:
    return "\n".join(str(f) for f in lint(bench.made(steps, variables), bench.estate, SERVICE))


@pytest.mark.parametrize(
    "command",
    [
        ["{{ value }}"],
        "{{ value }}",
        ["/bin/{{ value }}"],
        ["/bin/sh", "-c", "echo {{ value }}"],
        ["/bin/bash", "-euc", "echo {{ value }}"],
        ["/usr/bin/timeout", "5", "/bin/sh", "-c", "echo {{ value }}"],
        ["/usr/bin/timeout", "5", "{{ value }}"],
        ["/usr/bin/python3.11", "-c", "print('{{ value }}')"],
        ["/usr/bin/perl", "-ne", "{{ value }}"],
        ["/usr/bin/ssh", "db1", "rm {{ value }}"],
        ["/usr/bin/env", "{{ value }}"],
        ["/usr/bin/sed", "-i", "s/a/{{ value }}/", "/etc/x"],
        ["/usr/bin/psql", "--command", "select '{{ value }}'"],
        ["/usr/bin/psql", "-c", "select '{{ value }}'"],
    ],
)
@pytest.mark.parametrize("option", ["command", "effect", "undo"])
async def test_no_value_chooses_the_program_or_becomes_code(
    bench: GenericBench, command: Any, option: str
) -> None:
    options = {"command": ["/bin/true"]} | {option: command}
    steps = at_once("exec.run", **options)
    assert "no template may stand in" in problems(bench, steps, value="true")
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench.run(steps, value="true")
    assert bench.store.events == []


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/sh", "-c", 'echo "$1"', "sh", "{{ value }}"],
        ["/usr/bin/printf", "%s", "{{ value }}"],
        ["/bin/cat", "--", "{{ value }}"],
        ["/usr/bin/python3", "/opt/x.py", "--name={{ value }}"],
    ],
)
def test_a_value_may_be_an_argument(bench: GenericBench, command: list[str]) -> None:
    assert "no template" not in problems(bench, at_once("exec.run", command=command), value="x")


async def test_a_value_does_not_become_an_option(either: Either, tmp_path: Path) -> None:
    action, bench, where = either
    kept = tmp_path / "kept"
    kept.mkdir()
    result = await bench.run(
        at_once(action, command=["/bin/rm", "{{ value }}", str(kept)], **where), value="-rf"
    )
    assert result.state is ExecutionState.UNDONE, "it was not begun"
    assert "would be read as an option" in result.reason
    assert kept.exists()
    after = at_once(action, command=["/usr/bin/printf", "%s", "--", "{{ value }}"], **where)
    assert succeeded(await bench.run(after, value="-rf"))["act"]["stdout"] == "---rf"


def test_wrong_options_are_found_before_anything_runs(bench: GenericBench) -> None:
    assert "by its absolute path" in problems(bench, at_once("exec.run", command=["true"]))
    assert "one text" in problems(bench, at_once("exec.run", command=["a", "b"], shell=True))
    assert "everybody on the host can see" in problems(
        bench, at_once("exec.run", command=["/bin/x", "--password=x"])
    )
    assert "sudo would show it" in problems(
        bench,
        at_once("exec.run", command=["/bin/x"], user="a", secret_env={"A": {"env": "B"}}),
    )
    assert "give `node` or `member`" in problems(bench, at_once("ssh.run", command=["x"]))
    assert "there is no variable 'missing'" in problems(
        bench, at_once("exec.run", command=["/bin/echo", "{{ missing }}"])
    )


def test_the_linter_warns_of_a_change_whose_effect_nobody_can_see(bench: GenericBench) -> None:
    assert "does not say how its effect is seen" in problems(
        bench, at_once("exec.run", command=["/bin/true"])
    )


async def test_the_plan_shows_what_would_be_run_and_whether_it_can_be(either: Either) -> None:
    action, bench, where = either
    view = await bench.plan(
        at_once(action, command=["/usr/bin/printf", "{{ value }}"], effect=["/bin/true"], **where),
        value="a b",
    )
    [row] = view.rows
    assert "/usr/bin/printf" in row.commands[0]
    assert "a b" in row.commands[0]
    assert row.commands[1].startswith("effect: ")
    assert [check.ok for check in row.prechecks] == [True]
    view = await bench.plan(at_once(action, command=["/no/such/program"], **where))
    assert [check.ok for check in view.rows[0].prechecks] == [False]


async def test_a_node_without_access_is_a_failure_that_names_it(tmp_path: Path) -> None:
    bench = GenericBench(tmp_path, bench_estate(nodes={"here": {"site": "one", "address": "127.0.0.1"}}))
    result = await bench.run(at_once("ssh.run", node="here", command=["true"]))
    assert bench.outcome("act") is StepState.FAILED
    assert "no access to this node is configured" in result.reason
    await bench.close()


async def test_what_may_have_been_done_is_not_done_again_while_its_effect_can_not_be_seen(
    either: Either, tmp_path: Path
) -> None:
    """The look says no before the step; then it can't tell any more."""
    action, bench, where = either
    done, asked = tmp_path / "done", tmp_path / "asked"
    look = '[ -e "$1" ] && exit 2; touch "$1"; exit 1'
    options = {
        "command": ["/bin/sh", "-c", 'echo x >> "$1"; exec sleep 60', "sh", str(done)],
        "effect": ["/bin/sh", "-c", look, "sh", str(asked)],
    }
    steps = [
        step(
            action,
            timeout="1500ms",
            with_={**options, **where},
            point_of_no_return=True,
            retry={"attempts": 3},
            on_failure="continue",
        )
    ]
    await bench.run(steps)
    assert bench.outcome("act") is StepState.UNKNOWN
    assert done.read_text() == "x\n"
    assert bench.intents("act") == 3
