"""Probe type `haproxy` with a real HAProxy, asked over a socket file and over TCP."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.observation import Failure, Outcome
from probes.base import Reading
from probes.haproxy import HaproxyOptions, HaproxyProbe
from probes.haproxy_socket import MOST_BYTES
from probes.haproxy_stats import NoStatsError, read_info, read_rows
from probes.trace import listening
from tests.bad_servers import LOOPBACK, serving
from tests.pg_pair import free_port, wait_for
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

SOON_S = 15.0
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

CONFIG = """
global
  stats socket {path} level admin
  stats socket ipv4@127.0.0.1:{port} level user
  hard-stop-after 1s
defaults
  mode tcp
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend shop
  server good 127.0.0.1:{good} check inter 50ms rise 1 fall 1
  server bad 127.0.0.1:{bad} check inter 50ms rise 1 fall 1
  server trusted 127.0.0.1:{bad}
backend gone
  server bad 127.0.0.1:{bad} check inter 50ms rise 1 fall 1
backend empty
"""


class Haproxy:
    def __init__(self, root: Path) -> None:
        self.path = root / "socket"
        self.port = free_port()
        self._config = root / "haproxy.cfg"
        self._log = root / "log"
        self._listener = socket.create_server((LOOPBACK, 0))
        bad = free_port()
        good = self._listener.getsockname()[1]
        self._config.write_text(CONFIG.format(path=self.path, port=self.port, good=good, bad=bad))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([HAPROXY, "-db", "-f", self._config], stdout=log, stderr=log)
        wait_for(self._has_checked, "HAProxy has checked its servers")

    def _has_checked(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self._log.read_text()
        try:
            shop, gone = self.say("show stat shop 6 -1"), self.say("show stat gone 6 -1")
            return "L4OK" in shop and "L4CON" in shop and "L4CON" in gone
        except OSError:
            return False

    def say(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.path))
            sock.sendall(f"{command}\n".encode())
            told = b""
            while chunk := sock.recv(65536):
                told += chunk
        return told.decode()

    def stop(self) -> None:
        self._listener.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haproxy]:
    if not Path(HAPROXY).exists():
        pytest.skip("HAProxy is not installed (Debian: apt-get install haproxy)")
    server = Haproxy(tmp_path_factory.mktemp("h"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def probe(where: object, **options: Any) -> HaproxyProbe:
    given = HaproxyOptions.model_validate({"socket": str(where), "backend": "shop", **options})
    return HaproxyProbe("shop/lb", given, ports(RealClock()))


async def run(where: object, **options: Any) -> Reading:
    return await asyncio.wait_for(probe(where, **options).check(), SOON_S)


async def test_a_backend_with_a_server_that_is_up_is_good(haproxy: Haproxy) -> None:
    steps: list[str] = []
    with listening(steps.append):
        reading = await run(haproxy.path)
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "2 of 3 up")
    facts = reading.facts
    assert (facts["backend_status"], facts["up"], facts["total"], facts["stopping"]) == ("UP", 2, 3, False)
    assert facts["version"][0].isdigit()
    assert facts["uptime_s"] >= 0
    good, bad = facts["servers"]["good"], facts["servers"]["bad"]
    assert (good["status"], good["check_status"], good["weight"], good["sessions"]) == ("UP", "L4OK", 1, 0)
    assert (bad["status"], bad["check_status"]) == ("DOWN", "L4CON")
    assert good["address"].startswith(f"{LOOPBACK}:")
    assert bad["last_change_s"] >= 0
    assert bad["downtime_s"] >= 0
    assert facts["servers"]["trusted"]["status"] == "no check"
    assert any("bad: DOWN L4CON" in step for step in steps)


async def test_over_tcp_it_says_the_same(haproxy: Haproxy) -> None:
    reading = await run(f"{LOOPBACK}:{haproxy.port}")
    assert (reading.outcome, reading.facts["up"]) == (Outcome.SUCCEEDED, 2)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"min_up": 3}, "2 of 3 servers are up, expected at least 3"),
        ({"backend": "gone"}, "backend 'gone' is DOWN: 0 of 1 servers are up"),
        ({"backend": "empty"}, "0 of 0 servers are up, expected at least 1"),
        ({"backend": "missing"}, "HAProxy has no backend 'missing'"),
        ({"server": "bad"}, "bad is DOWN (L4CON), expected up"),
        ({"server": "missing"}, "has no server 'missing'"),
        ({"server": "good", "expect": "drain"}, "good is UP (L4OK), expected drain"),
        ({"expect": "maint"}, "good is UP"),
    ],
)
async def test_what_is_not_as_expected_is_a_bad_answer(
    haproxy: Haproxy, options: dict[str, Any], fault: str
) -> None:
    reading = await run(haproxy.path, **options)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert fault in reading.detail


async def test_one_server_is_judged_by_itself(haproxy: Haproxy) -> None:
    reading = await run(haproxy.path, server="trusted")
    assert (reading.outcome, set(reading.facts["servers"])) == (Outcome.SUCCEEDED, {"trusted"})


@pytest.mark.parametrize("state", ["drain", "maint"])
async def test_what_an_operator_has_taken_out_is_as_expected_then(haproxy: Haproxy, state: str) -> None:
    haproxy.say(f"set server shop/trusted state {state}")
    haproxy.say(f"set server gone/bad state {state}")
    try:
        assert (await run(haproxy.path, server="trusted", expect=state)).outcome is Outcome.SUCCEEDED
        assert (await run(haproxy.path, server="trusted")).failure is Failure.BAD_ANSWER
        assert (await run(haproxy.path, backend="gone", expect="maint")).outcome is (
            Outcome.SUCCEEDED if state == "maint" else Outcome.FAILED
        )
        assert (await run(haproxy.path)).facts["up"] == 1
    finally:
        haproxy.say("set server shop/trusted state ready;set server gone/bad state ready")


async def test_a_killed_haproxy_refuses_and_a_path_without_a_socket_is_unknown(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "s"))
    assert (await run(tmp_path / "s")).failure is Failure.REFUSED
    missing = await run(tmp_path / "missing")
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    assert "missing: No such file" in missing.detail


async def test_a_socket_file_where_nobody_accepts_is_waited_for_and_let_go_at_once(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(str(tmp_path / "s"))
        server.listen(0)
        first.connect(str(tmp_path / "s"))
        attempt = asyncio.create_task(probe(tmp_path / "s").check())
        done, _ = await asyncio.wait([attempt], timeout=0.1)
        assert not done
        attempt.cancel()
        done, _ = await asyncio.wait([attempt], timeout=1.0)
        assert done


async def test_what_does_not_end_is_cut_off() -> None:
    async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Name: HAProxy\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(floods) as port:
        reading = await run(f"{LOOPBACK}:{port}")
    assert (reading.failure, reading.detail) == (Failure.BAD_ANSWER, f"it says more than {MOST_BYTES} bytes")


async def test_an_answer_that_breaks_off_is_a_reset() -> None:
    async def dies(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Name: HAProxy\nVersion: 2.6\n")

    async with serving(dies) as port:
        assert (await run(f"{LOOPBACK}:{port}")).failure is Failure.RESET


@pytest.mark.parametrize("text", ["Permission denied", "Name: Nginx", "", "\x00\xff"])
def test_what_is_no_statistics_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NoStatsError):
        read_info(text)
    with pytest.raises(NoStatsError):
        read_rows(text, "shop")


@pytest.mark.parametrize(
    "options",
    [
        {"socket": "haproxy.sock"},
        {"socket": "host:0"},
        {"socket": "/" + "x" * 200},
        {"backend": "a b;shutdown"},
        {"server": "web1", "min_up": 2},
        {"expect": "maint", "min_up": 2},
        {"min_up": 0},
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        HaproxyOptions.model_validate({"socket": "/run/haproxy.sock", "backend": "shop", **options})
