"""Programs of the site's own as a channel: they may fail, hang, flood and fork."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from config.schema import ExecPager
from controller.notify.exec_hook import ExecHook
from controller.notify.page import DeliveryError, Page

PAGE = Page(
    "PAGE-1", "page", "订单: held", "why", "orders", "INC-7", "2026-11-25T13:30:00.000000Z",
    level="II", people=("zhao", "li"),
)  # fmt: skip
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=sorted(LOOPS))
def deliver(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`deliver(code, timeout=…)`: run Python code as the hook, on each kind of loop."""

    def run(code: str | list[str], timeout: float = 20.0) -> None:
        command = code if isinstance(code, list) else [sys.executable, "-c", code]
        hook = ExecHook(ExecPager(command=tuple(command), timeout=timeout))
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(hook.deliver(PAGE))

    return run


def gone(pid: int) -> bool:
    """Dead, be it that nobody has collected it yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline


def test_the_page_comes_as_json_on_standard_input(deliver: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "out"
    deliver(f"import sys; open({str(out)!r}, 'wb').write(sys.stdin.buffer.read())")
    assert json.loads(out.read_bytes()) == {
        "page": "PAGE-1",
        "severity": "page",
        "summary": "订单: held",
        "detail": "why",
        "service": "orders",
        "incident": "INC-7",
        "queued": "2026-11-25T13:30:00.000000Z",
        "level": "II",
        "people": ["zhao", "li"],
    }


def test_arguments_are_never_given_to_a_shell(deliver: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"import sys; open({str(out)!r}, 'w').write(sys.argv[1])"
    deliver([sys.executable, "-c", code, "$(id); `id` > x"])
    assert out.read_text() == "$(id); `id` > x"


def test_a_hook_that_reads_nothing_is_fine(deliver: Callable[..., None]) -> None:
    deliver(["/bin/true"])


def test_a_hook_that_fails_says_how(deliver: Callable[..., None]) -> None:
    with pytest.raises(DeliveryError, match=r"ended with 7: no route to pager password=\*\*\*"):
        deliver("print('no route to pager password=hunter2'); raise SystemExit(7)")


def test_a_program_that_is_not_there(deliver: Callable[..., None]) -> None:
    with pytest.raises(DeliveryError, match="/no/such/hook can't be run"):
        deliver(["/no/such/hook"])


def test_a_hook_that_hangs_is_killed_with_its_children(deliver: Callable[..., None], tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)"
    )
    with pytest.raises(DeliveryError, match="did not end within 1 s and was killed"):
        deliver(code, timeout=1.0)
    for pid in pids.read_text().split():
        wait_gone(int(pid))


def test_a_child_left_in_the_background_does_not_hold_up_the_page(
    deliver: Callable[..., None], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))"
    )
    deliver(code, timeout=60.0)
    wait_gone(int(pid.read_text()))


def test_output_without_end_is_cut(deliver: Callable[..., None]) -> None:
    with pytest.raises(DeliveryError) as error:
        deliver("import sys; sys.stdout.write('x' * 50_000_000); raise SystemExit(1)")
    assert len(str(error.value)) < 400


def test_nothing_of_the_daemons_environment_reaches_the_hook(
    deliver: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCM_CONTROL_PASSWORD", "hunter2")
    out = tmp_path / "out"
    deliver(f"import json, os; json.dump(dict(os.environ), open({str(out)!r}, 'w'))")
    environment: dict[str, Any] = json.loads(out.read_text())
    assert "hunter2" not in out.read_text()
    assert environment["BCM_SEVERITY"] == "page"
    assert environment["BCM_INCIDENT"] == "INC-7"
    assert environment["PATH"] == os.environ["PATH"]
