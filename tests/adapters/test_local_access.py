from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
import uvloop

from controller.adapters.local import LocalAccess
from model.errors import NodeAccessError
from model.ports import CommandResult
from tests.pg_pair import wait_for

SOON_S = 20.0


async def test_a_program_or_an_account_that_is_not_there_is_an_error_with_its_place() -> None:
    access = LocalAccess("db1")
    with pytest.raises(NodeAccessError, match=r"node db1: /not/there: No such file") as caught:
        await access.run(["/not/there"], timeout_s=SOON_S)
    assert caught.value.hint
    with pytest.raises(NodeAccessError, match="there is no account 'nobody-at-all'"):
        await access.run(["true"], timeout_s=SOON_S, user="nobody-at-all")


async def test_at_the_time_out_its_whole_process_group_is_killed_and_nothing_else(tmp_path: Path) -> None:
    pids, other = tmp_path / "pids", tmp_path / "other"
    script = f"sleep 61 & echo $$ $! > {pids}; setsid sleep 62 & echo $! > {other}; wait"
    result = await LocalAccess("db1").run(["sh", "-c", script], timeout_s=1.0)
    assert result.exit_code is None
    assert "killed after" in result.stderr
    for pid in pids.read_text().split():
        wait_for(lambda pid=int(pid): not _alive(pid), "it is dead")  # the signal is on its way
    left = int(other.read_text())
    assert _alive(left)  # a session of its own, as a server that was started has
    os.kill(left, signal.SIGKILL)


async def test_a_signal_that_ended_it_is_its_exit_code() -> None:
    result = await LocalAccess("db1").run(["sh", "-c", "kill -9 $$"], timeout_s=SOON_S)
    assert result.exit_code == -signal.SIGKILL


def test_the_user_is_changed_on_the_daemons_loop_too() -> None:
    """uvloop's own subprocesses can't."""
    if os.geteuid() != 0:
        pytest.skip("needs root")

    async def whoami() -> CommandResult:
        return await LocalAccess("db1").run(["id", "-un"], timeout_s=SOON_S, user="nobody")

    assert uvloop.run(whoami()).stdout == "nobody\n"


def test_it_is_described_as_a_person_would_type_it() -> None:
    access = LocalAccess("db1")
    assert access.describe(["pg_ctl", "stop", "-D", "/a b"]) == "pg_ctl stop -D '/a b'"
    assert access.describe(["id"], user="postgres") == "sudo -n -u postgres -- id"


async def test_no_descriptor_is_left_behind() -> None:
    access = LocalAccess("db1")
    await access.run(["true"], timeout_s=SOON_S)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await access.run(["true"], timeout_s=SOON_S)
        await access.run(["sleep", "60"], timeout_s=0.05)
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_another_account_than_root_changes_the_user_by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    command = asyncio.create_task(LocalAccess("db1").run(["id", "-un"], timeout_s=SOON_S, user="nobody"))
    if os.getuid() != 0 or not Path("/usr/bin/sudo").exists():
        command.cancel()
        pytest.skip("needs root, and sudo")
    assert (await command).stdout == "nobody\n"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
