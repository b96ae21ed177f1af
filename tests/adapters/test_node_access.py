"""What every way of access to a node owes: one contract, run here and over a real sshd."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.commands import OUTPUT_BYTES
from controller.adapters.local import LocalAccess
from controller.adapters.secrets import SecretStore
from controller.adapters.ssh import SshAccess
from model.errors import NodeAccessError
from tests.pg_probes import until
from tests.ssh_server import LOOPBACK, SshServer

SOON_S = 20.0
# Long enough for a command to begin on a busy machine, where the connection is there already.
SHORT_S = 2.0

Access = LocalAccess | SshAccess


@pytest.fixture(params=["local", "ssh"])
async def access(request: pytest.FixtureRequest) -> AsyncIterator[Access]:
    opened: Access
    if request.param == "local":
        opened = LocalAccess("db1")
    else:
        sshd: SshServer = request.getfixturevalue("sshd")
        opened = SshAccess("db1", LOOPBACK, sshd.settings(), SecretStore())
    try:
        assert (await opened.run(["true"], timeout_s=SOON_S)).ok
        yield opened
    finally:
        await opened.aclose()


async def test_output_and_exit_code_come_back(access: Access) -> None:
    result = await access.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=SOON_S)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert not result.ok
    assert 0 < result.took_s < SOON_S
    assert (await access.run(["true"], timeout_s=SOON_S)).ok


@pytest.mark.parametrize("word", ["a b", "$(id)", "`id`", "; id", "it's", '"', "\n", "", "*", "-n", "ö\\"])
async def test_a_word_is_passed_as_it_is(access: Access, word: str) -> None:
    result = await access.run(["printf", "%s|", word, word], timeout_s=SOON_S)
    assert result.stdout == f"{word}|{word}|"


async def test_stdin_is_passed_and_ends(access: Access) -> None:
    text = b"secret\n" * 50_000
    result = await access.run(["sha256sum"], timeout_s=SOON_S, stdin=text)
    expected = await access.run(["sh", "-c", "yes secret | head -n 50000 | sha256sum"], timeout_s=SOON_S)
    assert result.stdout == expected.stdout
    assert (await access.run(["cat"], timeout_s=SOON_S)).stdout == ""


async def test_texts_are_english_and_what_is_given_is_set(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATA", "/the/callers/own")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    result = await access.run(["env"], timeout_s=SOON_S, env={"PGPASSFILE": "/etc/pass file"})
    lines = result.stdout.splitlines()
    assert "LC_ALL=C" in lines
    assert "PGPASSFILE=/etc/pass file" in lines
    assert not any(line.startswith("PGDATA=") for line in lines)


async def test_the_user_is_changed_and_nothing_of_ours_is_kept(access: Access) -> None:
    if os.geteuid() != 0 or (isinstance(access, SshAccess) and shutil.which("sudo") is None):
        pytest.skip("needs root, and sudo for ssh")
    result = await access.run(
        ["sh", "-c", "id -un; id -Gn; echo $HOME $A; exec cat"],
        timeout_s=SOON_S, user="nobody", stdin=b"passed", env={"A": "b c"},
    )  # fmt: skip
    assert result.stdout == "nobody\nnogroup\n/nonexistent b c\npassed"


async def test_a_command_that_hangs_has_an_unknown_outcome(access: Access) -> None:
    began_s = time.monotonic()
    result = await access.run(["sh", "-c", "echo begun; sleep 60"], timeout_s=SHORT_S)
    assert result.exit_code is None
    assert not result.ok
    assert result.stdout == "begun\n"
    assert SHORT_S <= time.monotonic() - began_s < SOON_S
    assert (await access.run(["true"], timeout_s=SOON_S)).ok


async def test_one_that_hangs_does_not_hold_up_the_others(access: Access) -> None:
    patient = asyncio.create_task(access.run(["sh", "-c", "sleep 3; echo done"], timeout_s=SOON_S))
    hangs = asyncio.create_task(access.run(["sleep", "60"], timeout_s=SHORT_S))
    assert (await access.run(["echo", "quick"], timeout_s=SOON_S)).stdout == "quick\n"
    assert (await hangs).exit_code is None
    assert (await access.run(["echo", "again"], timeout_s=SOON_S)).stdout == "again\n"
    assert (await patient).stdout == "done\n"


async def test_a_flood_is_cut_in_the_middle(access: Access) -> None:
    result = await access.run(
        ["sh", "-c", "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last"], timeout_s=SOON_S
    )
    assert result.ok
    assert len(result.stdout) < OUTPUT_BYTES + 100
    assert result.stdout.startswith("first\n")
    assert result.stdout.endswith("last\n")
    assert "bytes left out" in result.stdout


async def test_what_a_command_leaves_running_is_not_waited_for(access: Access, tmp_path: Path) -> None:
    """As `pg_ctl start` leaves a server, which may hold the pipes open."""
    left = tmp_path / "left"
    script = f"setsid sh -c 'while ! test -e {left}.end; do sleep 0.05; done; touch {left}' & echo started"
    result = await access.run(["sh", "-c", script], timeout_s=SOON_S)
    assert (result.exit_code, result.stdout) == (0, "started\n")
    assert result.took_s < SOON_S / 2
    (tmp_path / "left.end").touch()
    await until(left.exists, "it was left running")


async def test_a_cancelled_call_ends_at_once(access: Access) -> None:
    call = asyncio.create_task(access.run(["sleep", "60"], timeout_s=SOON_S))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, SOON_S)
    assert (await access.run(["true"], timeout_s=SOON_S)).ok


async def test_the_number_of_commands_that_hang_is_bounded(access: Access) -> None:
    limit = access._threads._limit
    calls = [asyncio.create_task(access.run(["sleep", "60"], timeout_s=SHORT_S)) for _ in range(limit)]
    await until(lambda: access._threads._running == limit, "all under way")
    with pytest.raises(NodeAccessError, match="do not end"):
        await access.run(["true"], timeout_s=SOON_S)
    assert all(result.exit_code is None for result in await asyncio.gather(*calls))
    await until(lambda: access._threads._running == 0, "all threads ended")
    assert (await access.run(["true"], timeout_s=SOON_S)).ok


async def test_closing_ends_what_is_under_way_with_an_unknown_outcome(access: Access) -> None:
    call = asyncio.create_task(access.run(["sh", "-c", "echo begun; exec sleep 60"], timeout_s=SOON_S * 3))
    await until(lambda: any(c._out.text() for c in _calls(access)), "begun")
    await access.aclose()
    assert (await asyncio.wait_for(call, SOON_S)).exit_code is None


def _calls(access: Access) -> list[Any]:
    return list(access._calls if isinstance(access, SshAccess) else access._commands)
