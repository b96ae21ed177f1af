from __future__ import annotations

import asyncio
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from controller.adapters.ssh import SshAccess
from controller.adapters.ssh_link import SshLink
from model.errors import NodeAccessError
from tests.bad_servers import black_hole, garbage, nobody, open_sockets, serving, stalled
from tests.pg_probes import until
from tests.ssh_server import LOOPBACK, SshServer

SOON_S = 20.0
SHORT_S = 0.5


@asynccontextmanager
async def reaching(sshd: SshServer, **changes: Any) -> AsyncIterator[SshAccess]:
    access = SshAccess("db1", LOOPBACK, sshd.settings(**changes), SecretStore())
    try:
        yield access
    finally:
        await access.aclose()


async def refusal(sshd: SshServer, **changes: Any) -> NodeAccessError:
    async with reaching(sshd, **changes) as access:
        with pytest.raises(NodeAccessError) as caught:
            await access.run(["true"], timeout_s=SOON_S)
    text = str(caught.value)
    assert "node db1 (ssh " in text
    assert "what to do: " in text
    return caught.value


async def test_one_connection_serves_many_commands(sshd: SshServer) -> None:
    async with reaching(sshd) as access:
        await access.run(["true"], timeout_s=SOON_S)
        before = sshd.logins()
        results = await asyncio.gather(*(access.run(["echo", str(n)], timeout_s=SOON_S) for n in range(5)))
        assert [result.stdout for result in results] == [f"{n}\n" for n in range(5)]
        assert sshd.logins() == before


async def test_a_host_that_is_not_known_is_refused(sshd: SshServer, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    empty.touch()
    assert "the host key is not in" in str(await refusal(sshd, known_hosts=empty))
    assert "ssh-keyscan" in str(await refusal(sshd, known_hosts=empty))
    assert "can't be read" in str(await refusal(sshd, known_hosts=tmp_path / "not_there"))
    assert empty.read_text() == ""


async def test_a_host_whose_key_is_another_is_refused(sshd: SshServer, tmp_path: Path) -> None:
    other = tmp_path / "known_hosts"
    other.write_text(sshd.known_host_line(sshd.other_key))
    assert "is not the one in" in str(await refusal(sshd, known_hosts=other))


async def test_a_key_that_is_not_accepted_is_told(sshd: SshServer) -> None:
    assert "is not let in" in str(await refusal(sshd, key=SecretRef(file=sshd.other_key)))


async def test_a_key_that_is_none_is_told_and_not_shown(sshd: SshServer, tmp_path: Path) -> None:
    key = tmp_path / "key"
    lines = sshd.key.read_text().splitlines()
    key.write_text("\n".join([lines[0], lines[1][::-1], *lines[2:]]))
    text = str(await refusal(sshd, key=SecretRef(file=key)))
    assert "no private key that can be used" in text
    assert lines[1][::-1] not in text
    with_passphrase = tmp_path / "encrypted"
    shutil.copy(sshd.key, with_passphrase)
    command = ["ssh-keygen", "-q", "-p", "-N", "passphrase", "-f", str(with_passphrase)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == 0
    assert "without a passphrase" in str(await refusal(sshd, key=SecretRef(file=with_passphrase)))


async def test_a_key_that_can_not_be_read_is_told(sshd: SshServer, tmp_path: Path) -> None:
    async with reaching(sshd, key=SecretRef(file=tmp_path / "no_key")) as access:
        with pytest.raises(NodeAccessError, match="the private key can't be read"):
            await access.run(["true"], timeout_s=SOON_S)


@pytest.mark.parametrize(
    "peer", [stalled, black_hole, lambda: serving(garbage)], ids=["silent", "black hole", "garbage"]
)
async def test_a_peer_that_says_nothing_ends_with_the_time_out(
    sshd: SshServer, peer: Callable[[], AbstractAsyncContextManager[int]]
) -> None:
    threads = set(threading.enumerate())
    before = open_sockets()
    async with peer() as port, reaching(sshd, port=port) as access:
        with pytest.raises(NodeAccessError):
            await asyncio.wait_for(access.run(["true"], timeout_s=SHORT_S), SOON_S)
        await until(lambda: not set(threading.enumerate()) - threads, "no thread is left")
    await until(lambda: open_sockets() <= before, "no socket is left")


async def test_a_closed_port_is_told(sshd: SshServer) -> None:
    async with nobody() as port, reaching(sshd, port=port) as access:
        with pytest.raises(NodeAccessError, match="Connection refused"):
            await access.run(["true"], timeout_s=SOON_S)


async def test_a_connection_that_breaks_under_a_command_leaves_its_outcome_unknown(sshd: SshServer) -> None:
    async with reaching(sshd) as access:
        call = asyncio.create_task(access.run(["sh", "-c", "echo begun; sleep 60"], timeout_s=SOON_S))
        await until(lambda: any(c._out.text() for c in access._calls), "begun")
        sshd.signal_sessions(signal.SIGKILL)
        result = await call
        assert (result.exit_code, result.stdout) == (None, "begun\n")
        assert (await access.run(["true"], timeout_s=SOON_S)).ok


async def test_a_kept_connection_that_is_dead_is_made_anew(sshd: SshServer) -> None:
    async with reaching(sshd) as access:
        await access.run(["true"], timeout_s=SOON_S)
        before = sshd.logins()
        sshd.signal_sessions(signal.SIGKILL)
        assert (await access.run(["true"], timeout_s=SOON_S)).ok
        assert sshd.logins() == before + 1


async def test_a_kept_connection_that_fell_silent_is_made_anew_in_time(sshd: SshServer) -> None:
    async with reaching(sshd) as access:
        await access.run(["true"], timeout_s=SOON_S)
        sshd.signal_sessions(signal.SIGSTOP)
        try:
            assert (await access.run(["true"], timeout_s=8.0)).ok
        finally:
            sshd.signal_sessions(signal.SIGCONT)


async def test_a_node_that_hangs_under_a_command_ends_with_the_time_out(sshd: SshServer) -> None:
    threads = set(threading.enumerate())
    async with reaching(sshd) as access:
        call = asyncio.create_task(access.run(["sh", "-c", "echo begun; sleep 60"], timeout_s=SHORT_S * 4))
        await until(lambda: any(c._out.text() for c in access._calls), "begun")
        sshd.signal_sessions(signal.SIGSTOP)
        try:
            assert (await asyncio.wait_for(call, SOON_S)).exit_code is None
            await until(lambda: not set(threading.enumerate()) - threads, "no thread is left")
        finally:
            sshd.signal_sessions(signal.SIGCONT)


async def test_a_node_that_hangs_before_it_takes_the_command_leaves_no_thread(
    sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """paramiko waits for the answer to `exec` without any time-out of its own."""
    threads = set(threading.enumerate())
    open_channel = SshLink.open_channel

    def then_hang(link: SshLink, timeout_s: float) -> paramiko.Channel:
        channel = open_channel(link, timeout_s)
        sshd.signal_sessions(signal.SIGSTOP)
        return channel

    monkeypatch.setattr(SshLink, "open_channel", then_hang)
    async with reaching(sshd) as access:
        try:
            result = await asyncio.wait_for(access.run(["true"], timeout_s=SHORT_S * 4), SOON_S)
            assert result.exit_code is None
            await until(lambda: not set(threading.enumerate()) - threads, "no thread is left")
        finally:
            sshd.signal_sessions(signal.SIGCONT)


async def test_another_user_needs_sudo(sshd: SshServer) -> None:
    async with reaching(sshd, sudo=False) as access:
        assert (await access.run(["id", "-un"], timeout_s=SOON_S, user=sshd.login)).ok
        with pytest.raises(NodeAccessError, match="sudo is not allowed"):
            await access.run(["id"], timeout_s=SOON_S, user="nobody")


async def test_it_is_described_as_a_person_would_type_it(sshd: SshServer) -> None:
    async with reaching(sshd, user="bcm", port=22) as access:
        described = access.describe(["pg_ctl", "-D", "/a b"], user="postgres")
        assert described == f"ssh bcm@{LOOPBACK} 'sudo -n -u postgres -- pg_ctl -D '\"'\"'/a b'\"'\"''"
    async with reaching(sshd, user="bcm", port=2222) as access:
        assert access.describe(["id"]) == f"ssh -p 2222 bcm@{LOOPBACK} id"


async def test_closing_leaves_no_thread_and_no_socket(sshd: SshServer) -> None:
    threads, before = set(threading.enumerate()), open_sockets()
    async with reaching(sshd) as access:
        await access.run(["true"], timeout_s=SOON_S)
    await until(lambda: not set(threading.enumerate()) - threads, "no thread is left")
    assert open_sockets() <= before
