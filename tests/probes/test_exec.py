"""Probe type `exec` with Debian's own Nagios plugins, and with programs that misbehave."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.exec import MOST_LONG_TEXT, ExecOptions, ExecProbe
from probes.plugin_process import FLOOD_BYTES
from probes.texts import MASK
from probes.threads import BoundedThreads
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody, serving, silent
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

PLUGINS = Path("/usr/lib/nagios/plugins")
SOON_S = 10.0

needs_plugins = pytest.mark.skipif(
    not (PLUGINS / "check_tcp").exists(),
    reason="Nagios plugins are not installed (Debian: apt-get install monitoring-plugins-basic)",
)


def probe(*command: object, **options: Any) -> ExecProbe:
    ports_ = replace(ports(RealClock()), secrets=SecretStore())
    return ExecProbe("probe/p", ExecOptions(command=tuple(map(str, command)), **options), ports_)


async def run(*command: object, **options: Any) -> Reading:
    return await asyncio.wait_for(probe(*command, **options).check(), SOON_S)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    def write(script: str) -> Path:
        file = tmp_path / "plugin"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    return write


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        await asyncio.sleep(0.005)


@needs_plugins
@pytest.mark.parametrize(
    ("code", "outcome", "failure", "state"),
    [
        (0, Outcome.SUCCEEDED, None, "ok"),
        (1, Outcome.SUCCEEDED, None, "warning"),
        (2, Outcome.FAILED, Failure.BAD_ANSWER, "critical"),
        (3, Outcome.UNKNOWN, None, "unknown"),
    ],
)
async def test_the_exit_code_is_the_verdict(
    code: int, outcome: Outcome, failure: Failure | None, state: str
) -> None:
    reading = await run(PLUGINS / "check_dummy", code, "hello")
    assert (reading.outcome, reading.failure, reading.facts["state"]) == (outcome, failure, state)
    assert reading.facts["exit_status"] == code
    assert "hello" in reading.detail


@needs_plugins
async def test_a_real_plugin_measures_a_real_port() -> None:
    async with serving(silent) as port:
        reading = await run(PLUGINS / "check_tcp", "-H", LOOPBACK, "-p", port)
    assert reading.outcome is Outcome.SUCCEEDED
    measured = reading.facts["perfdata"]["time"]
    assert measured["unit"] == "s"
    assert measured["value"].replace(".", "").isdigit()
    async with nobody() as port:
        reading = await run(PLUGINS / "check_tcp", "-H", LOOPBACK, "-p", port)
    assert reading.failure is Failure.BAD_ANSWER
    assert "refused" in reading.detail.lower()


@needs_plugins
async def test_a_real_plugin_measures_the_disk() -> None:
    reading = await run(PLUGINS / "check_disk", "-w", "1%", "-c", "0%", "-p", "/")
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["perfdata"]["/"]["unit"] in {"MB", "MiB", "B"}
    assert "max" in reading.facts["perfdata"]["/"]


@pytest.mark.parametrize("script", ["exit 4", "exit 127", "kill -9 $$", "kill -TERM $$"])
async def test_any_other_end_is_unknown(program: Callable[[str], Path], script: str) -> None:
    reading = await run(program(script))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_what_can_not_be_started_is_unknown_and_says_why(tmp_path: Path) -> None:
    missing = await run(tmp_path / "missing")
    (tmp_path / "text").write_text("no program")
    closed = await run(tmp_path / "text")
    assert {missing.outcome, closed.outcome} == {Outcome.UNKNOWN}
    assert "No such file" in missing.detail
    assert "Permission denied" in closed.detail


async def test_more_lines_are_long_output_and_more_values(program: Callable[[str], Path]) -> None:
    reading = await run(program("printf 'OK | a=1\\nmore\\nlines | b=2\\nc=3\\n'"))
    assert reading.detail == "OK"
    assert reading.facts["long_output"] == "more\nlines"
    assert list(reading.facts["perfdata"]) == ["a", "b", "c"]


async def test_without_output_the_error_stream_is_shown_and_no_escape_sequence_is(
    program: Callable[[str], Path],
) -> None:
    reading = await run(program("printf 'no \\033[31mroute\\n' >&2; exit 2"))
    assert reading.detail == "no [31mroute"


async def test_long_output_is_cut_and_a_flood_is_ended(program: Callable[[str], Path]) -> None:
    long = await run(program("echo OK; yes | head -c 1000000"))
    assert long.outcome is Outcome.SUCCEEDED
    assert len(long.facts["long_output"]) <= MOST_LONG_TEXT
    flood = await run(program("yes"))
    assert flood.outcome is Outcome.UNKNOWN
    assert str(FLOOD_BYTES) in flood.detail


async def test_its_environment_is_its_own_and_its_arguments_are_no_shell_text(
    program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of the daemon")
    reading = await run(
        program('env | cut -d= -f1 | sort | tr "\\n" " "; echo "$1"'), "$(id); *", env={"MORE": "x"}
    )
    assert set(reading.detail.removesuffix("$(id); *").split()) - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "LC_ALL", "MORE", "PATH",
    }  # fmt: skip
    assert reading.detail.endswith("$(id); *")


async def test_a_secret_reaches_the_program_and_nothing_else(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(stat.S_IRUSR)
    seen = tmp_path / "seen"
    script = f'printf %s "$PW" > {seen}; echo "login $PW | $PW=1"; echo "more $PW"; echo "$PW" >&2; exit 2'
    steps: list[str] = []
    with listening(steps.append):
        reading = await run(program(script), secret_env={"PW": SecretRef(file=secret)})
    assert seen.read_text() == "correct horse"
    assert "correct horse" not in repr(reading) + repr(steps)
    assert f"login {MASK}" in reading.detail
    assert "starting" in steps[0]
    missing = await run(program("exit 0"), secret_env={"PW": SecretRef(file=tmp_path / "none")})
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_a_cancelled_attempt_kills_the_whole_group_and_leaves_nothing(
    program: Callable[[str], Path], tmp_path: Path, loop: Callable[[Any], None]
) -> None:
    pids = tmp_path / "pids"
    file = program(f"trap '' TERM; sleep 61 & sleep 62 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait")

    async def scenario() -> None:
        before = _open_files()
        attempt = asyncio.create_task(probe(file).check())
        await until(pids.exists, "it runs")
        started = [int(pid) for pid in pids.read_text().split()]
        attempt.cancel()
        done, _ = await asyncio.wait([attempt], timeout=1.0)
        assert done
        await until(lambda: not any(_runs(pid) for pid in started), "the group is gone")
        # Its own child is dead and gone, however long whoever adopts orphans here leaves the other one.
        await until(lambda: started[0] not in _children(), "no zombie of ours is left")
        await until(lambda: not _threads(), "no thread is left")
        await until(lambda: _open_files() == before, "no file is left open")

    loop(scenario())


async def test_what_it_leaves_running_holds_nothing_up_and_is_ended(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    reading = await run(program(f"sleep 63 & echo $! > {pid}; echo done"))
    assert reading.detail == "done"
    await until(lambda: not _runs(int(pid.read_text())), "the one in the background is gone")


async def test_a_hundred_runs_leave_no_file_thread_or_zombie(program: Callable[[str], Path]) -> None:
    file = program("echo OK")
    await run(file)
    before, children = _open_files(), _children()
    for _ in range(10):
        readings = await asyncio.gather(*(run(file) for _ in range(10)))
        assert {reading.outcome for reading in readings} == {Outcome.SUCCEEDED}
    await until(lambda: not _threads(), "no thread is left")
    await until(lambda: _open_files() == before, "no file is left open")
    assert _children() <= children


async def test_when_all_places_are_taken_it_is_unknown_and_no_more_are_started(
    program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.exec._threads", BoundedThreads("exec probe", 2))
    hanging = [asyncio.create_task(run(program("exec sleep 64"))) for _ in range(2)]
    await until(lambda: len(_threads()) == 2, "both run")
    reading = await run(program("exec sleep 64"))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    await until(lambda: not _threads(), "both have ended")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"command": ()}, "at least 1 item"),
        ({"command": ("check_disk",)}, "absolute path"),
        ({"command": ("/bin/x", "--password=hunter2")}, "secret_env"),
        ({"command": ("/bin/x",), "env": {"DB_PASSWORD": "hunter2"}}, "secret_env"),
        ({"command": ("/bin/x",), "env": {"A B": "x"}}, "no name"),
        ({"command": ("/bin/x",), "env": {"A": "x"}, "secret_env": {"A": {"env": "B"}}}, "one only"),
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ExecOptions(**options)


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "exec probe"]


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _children() -> set[int]:
    """Those of this process, zombies too."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        try:
            found |= {int(pid) for pid in shlex.split((task / "children").read_text())}
        except OSError:
            continue
    return found


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
