"""Probe type `host` over real ssh, on this host, and from a real node_exporter."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.local import LocalAccess
from controller.adapters.secrets import SecretStore
from controller.adapters.ssh import SshAccess
from model.observation import Failure, Outcome
from model.ports import Clock, CommandResult, NodeAccess
from probes.base import Reading
from probes.host import HostOptions, HostProbe
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody, serving
from tests.pg_pair import free_port
from tests.scripted_probe import ports
from tests.ssh_server import SshServer, running_sshd
from tests.user_manager import running_user_manager
from tests.virtual_clock import RealClock

EXPORTER = shutil.which("prometheus-node-exporter")
SOON_S = 20.0
ENTER = ("unshare", "-m", "-p", "-f", "--mount-proc", "--kill-child")
MIB = 1024 * 1024


class OtherClock(RealClock):
    """This process has a wall clock that is off by so much."""

    def __init__(self, offset_s: float) -> None:
        self._offset_s = offset_s

    def wall_s(self) -> float:
        return super().wall_s() + self._offset_s


class Mounted(LocalAccess):
    """This host, with mounts and processes that nobody else sees, and that end with the command."""

    def __init__(self, script: str) -> None:
        super().__init__("db1")
        self._script = script

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        if os.geteuid() != 0:
            pytest.skip("mounting needs root")
        inside = [*ENTER, "sh", "-c", f'{self._script}; exec "$@"', "sh", *argv]
        return await super().run(inside, timeout_s=timeout_s, stdin=stdin)


async def read(node: NodeAccess | None, clock: Clock | None = None, **options: Any) -> Reading:
    probe_ports = replace(ports(clock or RealClock()), node=node)
    probe = HostProbe("probe/h", HostOptions.model_validate(options), probe_ports)
    return await asyncio.wait_for(probe.check(), SOON_S)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(params=["local", "ssh"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[NodeAccess]:
    access: LocalAccess | SshAccess = LocalAccess("db1")
    if request.param == "ssh":
        server: SshServer = request.getfixturevalue("sshd")
        access = SshAccess("db1", LOOPBACK, server.settings(), SecretStore())
    yield access
    await access.aclose()


def expect_this_host(reading: Reading) -> None:
    """The facts are those of the host that this test runs on."""
    assert reading.outcome is Outcome.SUCCEEDED, reading
    facts = reading.facts
    assert "/" in facts["file_systems"]
    for mount, found in facts["file_systems"].items():
        usage = os.statvfs(mount)
        assert found["size_bytes"] == pytest.approx(usage.f_blocks * usage.f_frsize, rel=0.01)
        assert found["free_bytes"] == pytest.approx(usage.f_bavail * usage.f_frsize, rel=0.05)
        assert found["inodes"] == usage.f_files
        assert found["read_only"] is bool(usage.f_flag & os.ST_RDONLY)
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert facts["memory_bytes"] == int(memory["MemTotal"].split()[0]) * 1024
    assert 0 < facts["memory_available_bytes"] <= facts["memory_bytes"]
    assert facts["cpus"] == os.sysconf("SC_NPROCESSORS_ONLN")
    assert facts["load1_milli"] == pytest.approx(os.getloadavg()[0] * 1000, abs=1000)
    assert abs(facts["clock_offset_ms"]) <= facts["clock_uncertainty_ms"] + 1
    assert not any(isinstance(value, float) for value in _leaves(facts))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    else:
        yield value


ALLOWED: dict[str, Any] = {
    "read_only_allowed": [m.split()[1] for m in Path("/proc/mounts").read_text().splitlines()]
}


async def test_what_a_node_says_is_right(node: NodeAccess) -> None:
    steps: list[str] = []
    with listening(steps.append):
        expect_this_host(await read(node, **ALLOWED))
    assert any("running on the node" in step for step in steps)
    assert any("memory_bytes" in step for step in steps)


async def test_it_costs_one_command(node: NodeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Sequence[str]] = []
    run = node.run

    async def counted(argv: Sequence[str], **kwargs: Any) -> CommandResult:
        calls.append(argv)
        return await run(argv, **kwargs)

    monkeypatch.setattr(node, "run", counted)
    await read(node)
    assert calls == [["sh"]]


@pytest.mark.parametrize("offset_s", [-3600.0, -2.0, 5.0])
async def test_a_clock_that_is_off_is_measured_and_judged_with_its_uncertainty(
    node: NodeAccess, offset_s: float
) -> None:
    given = {**ALLOWED, "max_clock_offset": "1s"}
    reading = await read(node, OtherClock(offset_s), **given)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    uncertainty_ms = reading.facts["clock_uncertainty_ms"]
    assert reading.facts["clock_offset_ms"] == pytest.approx(-offset_s * 1000, abs=uncertainty_ms + 2)
    assert "1s are allowed" in reading.detail
    assert (await read(node, OtherClock(0.2), **given)).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("options", "failure", "text"),
    [
        ({"min_free_percent": 99.9}, Failure.DISK_FULL, "of its space free, 99.9 % are required"),
        ({"min_free_inodes_percent": 100}, Failure.DISK_FULL, "of its inodes free, 100 % are required"),
        ({"min_memory_percent": 100}, Failure.BAD_ANSWER, "of memory are free"),
        ({"max_load_per_cpu": 1e-9}, Failure.BAD_ANSWER, "load per processor"),
        ({"mounts": ["/", "/not/there"]}, Failure.BAD_ANSWER, "/not/there is not mounted"),
    ],
)
async def test_each_limit_is_a_limit(options: dict[str, Any], failure: Failure, text: str) -> None:
    if "max_load_per_cpu" in options and os.getloadavg()[0] == 0:
        pytest.skip("this host has nothing to do")
    reading = await read(LocalAccess("db1"), **ALLOWED, **options)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert text in reading.detail
    assert reading.facts["file_systems"]


async def test_a_file_system_that_became_read_only_is_seen_whatever_else_is_wrong(tmp_path: Path) -> None:
    mount = tmp_path / "da ta"
    mount.mkdir()
    node = Mounted(f"mount -t tmpfs -o size=1m tmpfs '{mount}' && mount -o remount,ro '{mount}'")
    options: dict[str, Any] = {"mounts": [str(mount), "/"], "min_free_percent": 100}
    reading = await read(node, **options)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.READ_ONLY)
    assert f"{mount} is read-only" in reading.detail
    assert reading.facts["file_systems"][str(mount)]["read_only"] is True
    assert reading.facts["file_systems"][str(mount)]["size_bytes"] == MIB
    allowed = await read(node, mounts=[str(mount)], read_only_allowed=[str(mount)])
    assert allowed.outcome is Outcome.SUCCEEDED


async def test_a_sandbox_that_shows_everything_as_read_only_is_no_fault(tmp_path: Path) -> None:
    """The daemon's own unit is one (ProtectSystem=)."""
    mount = tmp_path / "data"
    mount.mkdir()
    node = Mounted(
        f"mount -t tmpfs -o size=1m tmpfs {mount} && mount -o remount,bind,ro {mount}; touch {mount}/x"
    )
    reading = await read(node, mounts=[str(mount)])
    assert reading.outcome is Outcome.SUCCEEDED, reading
    assert reading.facts["file_systems"][str(mount)]["read_only"] is False
    assert reading.facts["file_systems"][str(mount)]["free_inodes"] > 0


async def test_a_disk_without_space_or_inodes_is_full(tmp_path: Path) -> None:
    mount = tmp_path / "data"
    mount.mkdir()
    fill = f"mount -t tmpfs -o size=1m,nr_inodes=10 tmpfs {mount} && head -c 1000k /dev/zero > {mount}/zeros"
    reading = await read(Mounted(fill), mounts=[str(mount)], min_free_percent=10)
    assert reading.failure is Failure.DISK_FULL
    assert "2.3 % of its space" in reading.detail
    many = (
        f"mount -t tmpfs -o size=1m,nr_inodes=10 tmpfs {mount} && cd {mount} && touch 1 2 3 4 5 6 7 8 9; cd /"
    )
    reading = await read(Mounted(many), mounts=[str(mount)], min_free_inodes_percent=10)
    assert reading.failure is Failure.DISK_FULL
    assert "0.0 % of its inodes" in reading.detail
    assert reading.facts["file_systems"][str(mount)]["free_inodes"] == 0


async def test_failed_units_are_known_from_a_real_manager_or_not_known(tmp_path: Path) -> None:
    node = LocalAccess("db1")
    if "failed_units" not in (await read(node)).facts:  # here process 1 is no systemd
        unknown = await read(node, **ALLOWED, units_must_not_fail=True)
        assert (unknown.outcome, unknown.failure) == (Outcome.UNKNOWN, None)
        assert "units" in unknown.detail
    with running_user_manager(tmp_path, node) as manager:
        # The script asks the manager of the system; here that of an account stands in for it.
        binary = tmp_path / "bin"
        binary.mkdir()
        (binary / "systemctl").write_text('#!/bin/sh\nexec /bin/systemctl --user "$@"\n')
        (binary / "systemctl").chmod(0o755)
        manager.add("crashes.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
        manager.systemctl("daemon-reload")
        manager._env["PATH"] = f"{binary}:{os.environ['PATH']}"
        good = await read(manager, **ALLOWED, units_must_not_fail=True)
        assert good.outcome is Outcome.SUCCEEDED
        assert good.facts["failed_units"] == []
        manager.systemctl("start", "crashes", check=False)
        bad = await read(manager, **ALLOWED, units_must_not_fail=True)
        assert (bad.outcome, bad.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
        assert bad.facts["failed_units"] == ["crashes.service"]
        assert (await read(manager, **ALLOWED)).outcome is Outcome.SUCCEEDED


CHRONY = "local stratum 10\nport 0\ncmdport 0\nbindcmdaddress /run/chrony/chronyd.sock\n"


async def test_whether_the_clock_follows_a_source_is_asked_of_a_real_chronyd(tmp_path: Path) -> None:
    if shutil.which("chronyd") is None:
        pytest.skip("chronyd is not installed (Debian: apt-get install chrony)")

    def node(settings: str) -> NodeAccess:
        """A chronyd that leaves the clock alone (-x), seen by nobody else, for the time of one command."""
        (tmp_path / "chrony.conf").write_text(settings)
        return Mounted(
            "mount -t tmpfs tmpfs /run; mkdir -m 700 /run/chrony; "
            f"chronyd -x -d -u root -f {tmp_path}/chrony.conf >{tmp_path}/log 2>&1 & "
            "until chronyc -n tracking >/dev/null 2>&1; do sleep 0.01; done"
        )

    given: dict[str, Any] = {**ALLOWED, "ntp_must_be_synchronized": True}
    follows = await read(node(CHRONY), **given)
    assert follows.outcome is Outcome.SUCCEEDED, follows
    assert (follows.facts["ntp_synchronized"], follows.facts["ntp_offset_ms"]) == (True, 0)
    lost = await read(node(CHRONY.removeprefix("local stratum 10\n")), **given)
    assert (lost.outcome, lost.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert lost.facts["ntp_synchronized"] is False
    unknown = await read(Mounted("mount -t tmpfs tmpfs /run"), **given)
    assert (unknown.outcome, unknown.failure) == (Outcome.UNKNOWN, None)


async def test_a_host_that_can_not_be_asked_is_unknown(sshd: SshServer, tmp_path: Path) -> None:
    missing = await read(None)
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    async with nobody() as port:
        node = SshAccess("db1", LOOPBACK, sshd.settings(port=port), SecretStore())
        reading = await read(node)
        await node.aclose()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    cut = await read(Mounted("exit 3"))
    assert (cut.outcome, cut.failure) == (Outcome.UNKNOWN, None)


# --- from a node_exporter


@contextmanager
def running_exporter(*arguments: str, inside: str = "") -> Iterator[str]:
    """Its URL. `inside` is run before it, and seen by nobody else. It reads the mounts of process 1, and so
    is process 1 there."""
    if EXPORTER is None:
        pytest.skip("no node_exporter (Debian: apt-get install prometheus-node-exporter)")
    port = free_port()
    command = [EXPORTER, f"--web.listen-address={LOOPBACK}:{port}", *arguments]
    if inside:
        command = [*ENTER, "sh", "-c", f'{inside} && exec "$@"', "sh", *command]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline_s = time.monotonic() + SOON_S
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            with suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
                break
            time.sleep(0.01)
        yield f"http://{LOOPBACK}:{port}/metrics"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def exporter() -> Iterator[str]:
    with running_exporter() as url:
        yield url


async def test_what_a_real_node_exporter_says_is_right(exporter: str) -> None:
    reading = await read(None, node_exporter=exporter, **ALLOWED)
    expect_this_host(reading)
    assert "failed_units" not in reading.facts  # its collector is off by default
    assert isinstance(reading.facts["ntp_synchronized"], bool)
    assert isinstance(reading.facts["ntp_offset_ms"], int)


async def test_both_ways_tell_the_same(exporter: str) -> None:
    asked = await read(LocalAccess("db1"), **ALLOWED)
    scraped = await read(None, node_exporter=exporter, **ALLOWED)
    for mount, found in scraped.facts["file_systems"].items():
        other = asked.facts["file_systems"][mount]
        assert (found["size_bytes"], found["inodes"]) == (other["size_bytes"], other["inodes"])
    assert scraped.facts["memory_bytes"] == asked.facts["memory_bytes"]


@pytest.mark.parametrize("offset_s", [-60.0, 60.0])
async def test_the_clock_of_a_scraped_host_is_measured_too(exporter: str, offset_s: float) -> None:
    reading = await read(None, OtherClock(offset_s), node_exporter=exporter, max_clock_offset="5s", **ALLOWED)
    assert reading.failure is Failure.BAD_ANSWER
    assert reading.facts["clock_offset_ms"] == pytest.approx(
        -offset_s * 1000, abs=reading.facts["clock_uncertainty_ms"] + 2
    )


async def test_a_scraped_host_is_judged_by_the_same_limits(exporter: str) -> None:
    reading = await read(None, node_exporter=exporter, min_free_percent=99.9, **ALLOWED)
    assert reading.failure is Failure.DISK_FULL
    unknown = await read(None, node_exporter=exporter, units_must_not_fail=True, **ALLOWED)
    assert (unknown.outcome, unknown.failure) == (Outcome.UNKNOWN, None)


async def test_an_exporter_tells_of_read_only_file_systems_and_failed_units(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mount = tmp_path / "data"
    mount.mkdir()
    with running_user_manager(tmp_path, LocalAccess("db1")) as manager:
        manager.add("crashes.service", "[Service]\nType=oneshot\nExecStart=/bin/false\n")
        manager.systemctl("daemon-reload")
        manager.systemctl("start", "crashes", check=False)
        private = tmp_path / "runtime" / "systemd" / "private"
        inside = (
            f"mount -t tmpfs -o ro,size=1m tmpfs {mount} && mount -t tmpfs tmpfs /run && "
            f"mkdir /run/systemd && ln -s {private} /run/systemd/private"
        )
        arguments = ("--collector.systemd", "--collector.systemd.private")
        with running_exporter(*arguments, inside=inside) as url:
            reading = await read(None, node_exporter=url, mounts=[str(mount)], units_must_not_fail=True)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.READ_ONLY)
    assert reading.facts["file_systems"][str(mount)]["read_only"] is True
    assert reading.facts["failed_units"] == ["crashes.service"]
    assert "failed units: crashes.service" in reading.detail


@pytest.mark.parametrize(
    ("answer", "failure", "text"),
    [
        (b"HTTP/1.0 404 Not Found\r\n\r\n", Failure.BAD_ANSWER, "404 Not Found"),
        (b"HTTP/1.0 200 OK\r\n\r\nup 1\n", Failure.BAD_ANSWER, "no metric of a node_exporter"),
        (b"220 smtp ready\r\n", Failure.BAD_ANSWER, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Failure.BAD_ANSWER, "encoding"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\nnode_load1 1\n", Failure.RESET, "before"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 100_000, Failure.BAD_ANSWER, "no end"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + (b"x" * 999 + b"\n") * 17_000, Failure.BAD_ANSWER, "more than"),
        (b"", Failure.RESET, ""),
    ],
)
async def test_what_is_no_exporter_is_told(answer: bytes, failure: Failure, text: str) -> None:
    async def says(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with serving(says) as port:
        reading = await read(None, node_exporter=f"http://{LOOPBACK}:{port}")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert text in reading.detail


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node_exporter": "db1:9100"}, "http://HOST:9100/metrics"),
        ({"node_exporter": "http://u:p@db1:9100/"}, "no user and password"),
        ({"min_free_percent": 101}, "less than or equal to 100"),
        ({"max_clock_offset": 5}, "write a number and a unit"),
        ({"max_load_per_cpu": 0}, "greater than 0"),
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        HostOptions.model_validate(options)
