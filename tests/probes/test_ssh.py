"""Probe type `ssh` against a real sshd, and against peers that hang or talk garbage in the middle of ssh."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
import uvloop

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.ssh import SshOptions, SshProbe
from probes.threads import BoundedThreads
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody, open_sockets, serving, silent
from tests.scripted_probe import ports
from tests.ssh_server import SshServer, running_sshd
from tests.virtual_clock import RealClock

SOON_S = 10.0
BANNER = b"SSH-2.0-Test_1.0\r\n"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def probe(server: SshServer, **changes: Any) -> SshProbe:
    given = {
        "host": LOOPBACK,
        "port": server.port,
        "user": server.login,
        "key": SecretRef(file=server.key),
        "known_hosts": server.known_hosts,
        **changes,
    }
    return SshProbe("probe/s", SshOptions(**given), replace(ports(RealClock()), secrets=SecretStore()))


async def run(server: SshServer, **changes: Any) -> Reading:
    return await asyncio.wait_for(probe(server, **changes).check(), SOON_S)


async def until(condition: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        await asyncio.sleep(0.005)


def our_threads() -> list[threading.Thread]:
    """Those of the probe, and paramiko's."""
    known = ("ssh probe", "Thread")
    return [t for t in threading.enumerate() if t.name.startswith(known) and t is not threading.main_thread()]


async def test_a_login_is_timed_and_leaves_nothing(sshd: SshServer) -> None:
    sockets = open_sockets()
    steps: list[str] = []
    with listening(steps.append):
        reading = await run(sshd)
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["address"] == LOOPBACK
    assert reading.facts["server"].startswith("SSH-2.0-OpenSSH")
    assert reading.facts["login_ms"] >= 0
    assert reading.facts["host_key"].startswith("ssh-ed25519 SHA256:")
    await until(lambda: any("logged in" in step for step in steps), "the steps are told")
    assert any("host key" in step for step in steps)
    await until(lambda: not our_threads(), "no thread is left")
    assert open_sockets() == sockets


async def test_a_command_runs_there_word_by_word(sshd: SshServer) -> None:
    reading = await run(sshd, command=("printf", "%s|", "$(id)", "a b;c"), expect="$(id)|a b;c|")
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts["exit_status"] == 0


@pytest.mark.parametrize(
    ("command", "expect", "text"),
    [
        (("sh", "-c", "echo broken >&2; exit 7"), "", "exit status 7: broken"),
        (("echo", "something else"), "fine", "expected 'fine'"),
        (("sh", "-c", "kill -9 $$"), "", "a signal ended"),
        (("/not/there",), "", "exit status 127"),
    ],
)
async def test_a_command_that_says_something_else_has_failed(
    sshd: SshServer, command: tuple[str, ...], expect: str, text: str
) -> None:
    reading = await run(sshd, command=command, expect=expect)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert text in reading.detail


async def test_much_output_is_bounded_and_too_much_is_no_answer(sshd: SshServer) -> None:
    much = await run(sshd, command=("sh", "-c", "yes | head -c 1000000; echo; echo end"), expect="end")
    assert much.outcome is Outcome.SUCCEEDED
    assert len(much.detail) < 1000
    flood = await run(sshd, command=("yes",))
    assert (flood.outcome, flood.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert "sends more than" in flood.detail


async def test_what_a_command_leaves_running_holds_nothing_up(sshd: SshServer) -> None:
    reading = await run(sshd, command=("sh", "-c", "sleep 20 & echo $!"))
    assert reading.outcome is Outcome.SUCCEEDED
    os.kill(int(reading.detail), signal.SIGKILL)


async def test_a_host_that_is_not_known_is_unknown_and_nothing_is_said_to_it(
    sshd: SshServer, tmp_path: Path
) -> None:
    logins = sshd.logins()
    empty = tmp_path / "known_hosts"
    empty.write_text("")
    reading = await run(sshd, known_hosts=empty)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert "is not in" in reading.detail
    assert "SHA256:" in reading.detail
    empty.write_text(sshd.known_host_line(sshd.other_key))
    reading = await run(sshd, known_hosts=empty)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert "is not the one in" in reading.detail
    empty.write_text(f"{sshd.known_host_line(sshd.host_key)}@revoked {sshd.known_host_line(sshd.host_key)}")
    assert "revoked" in (await run(sshd, known_hosts=empty)).detail
    assert not reading.shows_life
    assert sshd.logins() == logins


async def test_credentials_that_are_refused_are_unknown(sshd: SshServer) -> None:
    reading = await run(sshd, key=SecretRef(file=sshd.other_key))
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
    assert "is not let in" in reading.detail


async def test_files_of_our_own_that_can_not_be_used_are_unknown(sshd: SshServer, tmp_path: Path) -> None:
    for changes in (
        {"key": SecretRef(file=tmp_path / "none")},
        {"key": SecretRef(file=sshd.known_hosts)},
        {"known_hosts": tmp_path / "none"},
    ):
        reading = await run(sshd, **changes)
        assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL), changes
        assert "can't be" in reading.detail


async def test_nobody_listens(sshd: SshServer) -> None:
    async with nobody() as port:
        reading = await run(sshd, port=port)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.REFUSED)


@pytest.mark.parametrize(
    ("words", "failure", "text"),
    [
        (b"Exceeded MaxStartups\r\n", Failure.SATURATED, "MaxStartups"),
        (b"Not allowed at this time\r\n", Failure.BAD_ANSWER, "Not allowed"),
        (b"SSH-1.5-old\r\n", Failure.BAD_ANSWER, "version 2"),
        (b"x" * 300, Failure.BAD_ANSWER, "no ssh"),
        (b"", Failure.RESET, "without a word"),
        (BANNER, Failure.RESET, "closed in the middle"),
        (BANNER + b"\xff" * 200_000, Failure.BAD_ANSWER, "no proper ssh"),
        (BANNER + b"\x7f\xff\xff\xfc" + b"x" * 6_000_000, Failure.BAD_ANSWER, "sends more than"),
    ],
)  # fmt: skip
async def test_what_is_no_ssh_is_told_from_what_has_no_room(
    sshd: SshServer, words: bytes, failure: Failure, text: str
) -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async with serving(says) as port:
        known = sshd.root / f"known_{port}"
        known.write_text("")
        reading = await run(sshd, port=port, known_hosts=known)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert text in reading.detail


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run])
def test_a_server_that_hangs_in_the_middle_keeps_no_thread_once_the_attempt_is_cancelled(
    sshd: SshServer, loop: Callable[[Any], None]
) -> None:
    async def after_the_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        await silent(reader, writer)

    async def scenario() -> None:
        async with serving(after_the_banner) as port:
            sockets = open_sockets()
            attempts = [asyncio.create_task(probe(sshd, port=port).check()) for _ in range(5)]
            await until(lambda: len(our_threads()) >= 10, "paramiko waits")
            for attempt in attempts:
                attempt.cancel()
            done, _ = await asyncio.wait(attempts, timeout=1.0)
            assert len(done) == 5
            await until(lambda: not our_threads(), "no thread is left")
            await until(lambda: len(open_sockets() - sockets) == 0, "no socket is left")

    loop(scenario())


async def test_a_real_sshd_that_is_stopped_in_a_command_keeps_no_thread(sshd: SshServer) -> None:
    flag = sshd.root / "running"
    attempt = asyncio.create_task(run(sshd, command=("sh", "-c", f"touch {flag}; exec sleep 30")))
    await until(flag.exists, "the command runs")
    sshd.signal_sessions(signal.SIGSTOP)
    try:
        attempt.cancel()
        await asyncio.wait([attempt], timeout=1.0)
        assert attempt.cancelled()
        await until(lambda: not our_threads(), "no thread is left")
    finally:
        sshd.signal_sessions(signal.SIGKILL)


async def test_abandoned_attempts_end_with_their_sockets(sshd: SshServer) -> None:
    async def after_the_banner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        await silent(reader, writer)

    async with serving(after_the_banner) as port:
        abandoned = probe(sshd, port=port)
        attempt = asyncio.create_task(abandoned.check())
        await until(lambda: len(our_threads()) >= 2, "paramiko waits")
        abandoned.abandon()
        reading = await asyncio.wait_for(attempt, SOON_S)
        assert reading.failure is Failure.RESET


async def test_when_all_places_are_taken_it_is_unknown(
    sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probes.ssh._threads", BoundedThreads("ssh probe", 2))
    sockets = open_sockets()
    hanging = [asyncio.create_task(run(sshd, command=("sleep", "30"))) for _ in range(2)]
    await until(lambda: len(our_threads()) >= 4, "both are under way")
    reading = await run(sshd)
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    for task in hanging:
        task.cancel()
    await asyncio.wait(hanging)
    await until(lambda: not our_threads() and open_sockets() == sockets, "nothing is left")
    assert (await run(sshd)).outcome is Outcome.SUCCEEDED


class _PasswordDoor(paramiko.ServerInterface):
    def __init__(self, methods: str) -> None:
        self.methods = methods

    def get_allowed_auths(self, username: str) -> str:
        return self.methods

    def check_auth_password(self, username: str, password: str) -> int:
        right = (username, password) == ("ops", "correct horse")
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED


@contextmanager
def password_server(key_file: Path, methods: str = "password") -> Iterator[int]:
    """Another implementation than OpenSSH; the accounts of this machine have no passwords to log in with."""
    served: list[paramiko.Transport] = []
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                    transport = paramiko.Transport(sock)
                    served.append(transport)
                    transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(key_file)))
                    transport.start_server(event=threading.Event(), server=_PasswordDoor(methods))
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True, name="password server")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SOON_S)
            for transport in served:
                transport.close()
                transport.join(SOON_S)


async def test_a_password_is_handed_over_and_never_shown(sshd: SshServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    steps: list[str] = []
    with password_server(sshd.host_key) as port, listening(steps.append):
        known = tmp_path / "known_hosts"
        known.write_text(f"[{LOOPBACK}]:{port} {sshd.host_key.with_suffix('.pub').read_text()}")
        given = {"port": port, "user": "ops", "known_hosts": known, "key": None}
        right = await run(sshd, **given, password=SecretRef(file=secret))
        secret.write_text("battery staple")
        wrong = await run(sshd, **given, password=SecretRef(file=secret))
    assert right.outcome is Outcome.SUCCEEDED
    assert (wrong.outcome, wrong.failure) == (Outcome.UNKNOWN, Failure.CREDENTIALS)
    shown = repr(right) + repr(wrong) + repr(steps)
    assert "correct horse" not in shown
    assert "battery staple" not in shown


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"key": None}, "`key` or `password`"),
        ({"password": {"env": "X"}}, "`key` or `password`"),
        ({"expect": "x"}, "give one"),
        ({"known_hosts": "known_hosts"}, "absolute path"),
        ({"password": "hunter2", "key": None}, "never written into the estate"),
        ({"port": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_can_not_be_right_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        SshOptions.model_validate({"host": "db1", "key": {"env": "K"}, **changes})
