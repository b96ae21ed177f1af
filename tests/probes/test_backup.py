"""Probe type `backup` with real files, here and over ssh, and with programs that print times."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.local import LocalAccess
from controller.adapters.secrets import SecretStore
from controller.adapters.ssh import SshAccess
from model.observation import Failure, Outcome
from model.ports import NodeAccess
from probes.backup import BackupOptions, BackupProbe
from probes.base import Reading
from probes.trace import listening
from tests.bad_servers import LOOPBACK, nobody
from tests.scripted_probe import ports
from tests.ssh_server import SshServer, running_sshd
from tests.virtual_clock import RealClock

SOON_S = 15.0
HOUR_S, DAY_S = 3600, 86400


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(params=["here", "node"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[NodeAccess | None]:
    """Tests that take it see the same in both ways."""
    if request.param == "here":
        yield None
        return
    access = LocalAccess("db1")
    try:
        yield access
    finally:
        await access.aclose()


def probe(node: NodeAccess | None = None, **options: Any) -> BackupProbe:
    where = "controller" if node is None else "node"
    given = BackupOptions.model_validate({"max_age": "26h", "where": where, **options})
    return BackupProbe("probe/backup", given, replace(ports(RealClock()), node=node))


async def run(node: NodeAccess | None = None, **options: Any) -> Reading:
    return await asyncio.wait_for(probe(node, **options).check(), SOON_S)


def write(path: Path, age_s: float, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    at_s = time.time() - age_s
    os.utime(path, (at_s, at_s))
    return path


async def test_the_newest_file_counts(node: NodeAccess | None, tmp_path: Path) -> None:
    write(tmp_path / "a.dump", 30 * HOUR_S)
    newest = write(tmp_path / "b c.dump", 2 * HOUR_S, size=4321)
    steps: list[str] = []
    with listening(steps.append):
        reading = await run(node, files=f"{tmp_path}/*.dump")
    assert (reading.outcome, reading.detail) == (Outcome.SUCCEEDED, "b c.dump is 2 h old")
    assert (reading.facts["name"], reading.facts["size_bytes"]) == (str(newest), 4321)
    assert 2 * HOUR_S <= reading.facts["backup_age_s"] < 2 * HOUR_S + 60
    assert abs(reading.facts["backup_at_s"] - (time.time() - 2 * HOUR_S)) < 60
    told = "\n".join(steps)
    for step in ("running on", "2 files fit", "a.dump: 1000 bytes", "judged"):
        assert step in told


async def test_one_that_is_too_old_is_a_bad_answer(node: NodeAccess | None, tmp_path: Path) -> None:
    write(tmp_path / "a.dump", 30 * HOUR_S)
    reading = await run(node, files=f"{tmp_path}/*.dump")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    assert reading.detail == "a.dump is 30 h old; 26h are allowed"
    assert reading.facts["backup_age_s"] >= 30 * HOUR_S


async def test_what_is_not_finished_or_too_small_is_no_backup(
    node: NodeAccess | None, tmp_path: Path
) -> None:
    good = write(tmp_path / "good.dump", 20 * HOUR_S)
    for name in ("a.dump.partial", "b.dump.tmp", ".c.dump", "d.dump~", "e.dump.incomplete"):
        write(tmp_path / name, HOUR_S)
    write(tmp_path / "small.dump", HOUR_S, size=99)
    (tmp_path / "directory.dump").mkdir()
    reading = await run(node, files=f"{tmp_path}/*dump*", min_bytes=100)
    assert reading.facts["name"] == str(good)
    assert (await run(node, files=f"{tmp_path}/*dump*", min_bytes=99)).facts["size_bytes"] == 99
    taken = await run(node, files=f"{tmp_path}/*.tmp", ignore=())
    assert taken.facts["name"].endswith("b.dump.tmp")


async def test_none_is_a_bad_answer_and_a_missing_directory_is_unknown(
    node: NodeAccess | None, tmp_path: Path
) -> None:
    write(tmp_path / "empty.dump", HOUR_S, size=0)
    none = await run(node, files=f"{tmp_path}/*.dump")
    one = await run(node, files=f"{tmp_path}/latest.dump")
    assert {none.failure, one.failure} == {Failure.BAD_ANSWER}
    assert "no file of at least 1 bytes fits" in none.detail
    missing = await run(node, files=f"{tmp_path}/not_mounted/*.dump")
    assert missing.outcome is Outcome.UNKNOWN
    assert "No such file or directory" in missing.detail


async def test_what_can_not_be_read_hides_no_good_backup_and_makes_no_bad_one(
    node: NodeAccess | None, tmp_path: Path
) -> None:
    """A loop of links stands for a directory that is closed: it is closed to root too."""
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    write(tmp_path / "a.dump", 30 * HOUR_S)
    stale = await run(node, files=f"{tmp_path}/**/*.dump")
    none = await run(node, files=f"{tmp_path}/**/*.other")
    assert {stale.outcome, none.outcome} == {Outcome.UNKNOWN}
    assert "loop" in stale.detail
    write(tmp_path / "b.dump", HOUR_S)
    assert (await run(node, files=f"{tmp_path}/**/*.dump")).outcome is Outcome.SUCCEEDED


async def test_one_from_the_future_is_unknown(node: NodeAccess | None, tmp_path: Path) -> None:
    write(tmp_path / "a.dump", HOUR_S)
    write(tmp_path / "b.dump", -600)
    reading = await run(node, files=f"{tmp_path}/*.dump")
    assert reading.outcome is Outcome.UNKNOWN
    assert "ahead of the clock" in reading.detail
    write(tmp_path / "b.dump", -100)
    assert (await run(node, files=f"{tmp_path}/*.dump")).facts["name"].endswith("a.dump")
    reading = await run(node, files=f"{tmp_path}/*.dump", settled="0s")
    assert (reading.outcome, reading.facts["backup_age_s"]) == (Outcome.SUCCEEDED, 0)


async def test_a_file_that_is_being_written_does_not_count_yet(
    node: NodeAccess | None, tmp_path: Path
) -> None:
    write(tmp_path / "b.dump", 0)
    reading = await run(node, files=f"{tmp_path}/*.dump")
    assert reading.outcome is Outcome.UNKNOWN
    assert "all files that fit (1) were written to within 1m" in reading.detail
    write(tmp_path / "a.dump", 20 * HOUR_S)
    assert (await run(node, files=f"{tmp_path}/*.dump")).facts["name"].endswith("a.dump")
    assert (await run(node, files=f"{tmp_path}/*.dump", settled="0s")).facts["name"].endswith("b.dump")


async def test_a_base_backup_is_dated_by_the_file_that_is_written_last(
    node: NodeAccess | None, tmp_path: Path
) -> None:
    for day, age_s in (("2026-11-23", 50 * HOUR_S), ("2026-11-24", 25 * HOUR_S)):
        write(tmp_path / day / "base.tar.gz", age_s + 60, size=5000)
        write(tmp_path / day / "backup_manifest", age_s)
    write(tmp_path / "2026-11-25" / "base.tar.gz", HOUR_S)  # not ended: it has no manifest
    reading = await run(node, files=f"{tmp_path}/????-??-??/backup_manifest")
    assert (reading.outcome, reading.facts["name"]) == (
        Outcome.SUCCEEDED,
        f"{tmp_path}/2026-11-24/backup_manifest",
    )


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*/full.dump", "a/full.dump", True),
        ("*/full.dump", "full.dump", False),
        ("*.dump", "a/full.dump", False),
        ("**/*.dump", "full.dump", True),
        ("**/*.dump", "a/b/full.dump", True),
        ("a/**/b/*.dump", "a/x/y/b/z.dump", True),
        ("[ab]?.dump", "b1.dump", True),
        ("[!ab]?.dump", "b1.dump", False),
        ("a.dump", "aXdump", False),
        ("a+(1)|{x}$.dump", "a+(1)|{x}$.dump", True),
        ('it\'s "$(id)" \\*.dump', 'it\'s "$(id)" \\x.dump', True),
        (".hidden*", ".hidden.dump", True),
        ("[.dump", "[.dump", True),
        ("数据*.dump", "数据库.dump", True),
    ],
)
async def test_patterns(tmp_path: Path, pattern: str, name: str, fits: bool) -> None:
    write(tmp_path / name, HOUR_S)
    reading = await run(files=f"{tmp_path}/{pattern}")
    assert reading.outcome is (Outcome.SUCCEEDED if fits else Outcome.FAILED)


async def test_no_name_of_a_file_passes_for_another(tmp_path: Path) -> None:
    write(tmp_path / "old.dump", 30 * HOUR_S)
    tricky = tmp_path / "x\n9999999999 1 " / "y\n99999999999 0 status.dump"
    write(tricky, 40 * HOUR_S)
    reading = await run(files=f"{tmp_path}/**/*.dump")
    assert (reading.failure, reading.facts["name"]) == (Failure.BAD_ANSWER, f"{tmp_path}/old.dump")


def printing(text: str, status: int = 0) -> tuple[str, ...]:
    return ("sh", "-c", f"printf '%s' {shlex.quote(text)}; exit {status}")


def iso(age_s: float, pattern: str = "%Y-%m-%dT%H:%M:%S") -> str:
    return time.strftime(pattern, time.gmtime(time.time() - age_s))


async def test_times_that_a_program_prints(node: NodeAccess | None) -> None:
    for text in (
        str(int(time.time() - 2 * HOUR_S)),
        f"{time.time() - 2 * HOUR_S:.3f}\n",
        iso(2 * HOUR_S),
        iso(2 * HOUR_S) + "Z",
        iso(HOUR_S) + "+01:00\n",
        f"{iso(30 * HOUR_S)}\n\n{iso(2 * HOUR_S, '%Y-%m-%d %H:%M:%S')}\n{iso(40 * HOUR_S)}\n",
    ):
        reading = await run(node, command=printing(text))
        assert reading.outcome is Outcome.SUCCEEDED, (text, reading)
        assert 2 * HOUR_S - 5 <= reading.facts["backup_age_s"] < 2 * HOUR_S + 60
    too_old = await run(node, command=printing(iso(27 * HOUR_S)))
    assert too_old.failure is Failure.BAD_ANSWER


async def test_a_time_without_a_zone_is_read_in_the_zone_that_is_given() -> None:
    there = iso(2 * HOUR_S - 8 * HOUR_S)  # clocks in Shanghai are 8 h ahead
    reading = await run(command=printing(there), timezone="Asia/Shanghai")
    assert 2 * HOUR_S <= reading.facts["backup_age_s"] < 2 * HOUR_S + 60
    ahead = await run(command=printing(there))
    assert ahead.outcome is Outcome.UNKNOWN
    assert "ahead of the clock" in ahead.detail
    told = await run(command=printing(iso(2 * HOUR_S) + "Z"), timezone="Asia/Shanghai")
    assert told.outcome is Outcome.SUCCEEDED


async def test_milliseconds_are_read_if_they_are_said_to_be() -> None:
    text = str(int(time.time() - HOUR_S) * 1000)
    assert (await run(command=printing(text), format="unix_ms")).outcome is Outcome.SUCCEEDED
    assert (await run(command=printing(text))).outcome is Outcome.UNKNOWN


def pgbackrest(*backups: tuple[float, bool]) -> str:
    stanza = {
        "name": "main",
        "backup": [
            {"label": f"b{n}", "error": error, "timestamp": {"start": 1, "stop": int(time.time() - age_s)}}
            for n, (age_s, error) in enumerate(backups)
        ],
    }
    return json.dumps([stanza])


async def test_the_catalogue_of_pgbackrest() -> None:
    path = "[0].backup[error=false].timestamp.stop"
    reading = await run(
        command=printing(pgbackrest((50 * HOUR_S, False), (20 * HOUR_S, False), (HOUR_S, True))),
        json_path=path,
    )
    assert reading.outcome is Outcome.SUCCEEDED
    assert 20 * HOUR_S <= reading.facts["backup_age_s"] < 20 * HOUR_S + 60
    for nothing in (pgbackrest(), pgbackrest((HOUR_S, True))):
        none = await run(command=printing(nothing), json_path=path)
        assert (none.outcome, none.failure) == (Outcome.FAILED, Failure.BAD_ANSWER)
    elsewhere = await run(command=printing(pgbackrest((HOUR_S, False))), json_path="[0].backups[*].stop")
    assert elsewhere.outcome is Outcome.UNKNOWN
    assert "'backups' is not there" in elsewhere.detail


async def test_the_catalogue_of_barman() -> None:
    backups = [
        {"backup_id": "1", "end_time_timestamp": str(int(time.time() - 30 * HOUR_S)), "status": "DONE"},
        {"backup_id": "2", "end_time_timestamp": str(int(time.time() - HOUR_S)), "status": "FAILED"},
    ]
    text = json.dumps({"main": backups})
    chosen = await run(command=printing(text), json_path="main[status=DONE].end_time_timestamp")
    assert (chosen.failure, chosen.detail) == (
        Failure.BAD_ANSWER,
        "the newest backup is 30 h old; 26h are allowed",
    )
    assert (
        await run(command=printing(text), json_path="[*][*].end_time_timestamp")
    ).outcome is Outcome.SUCCEEDED


async def test_a_long_catalogue_is_read_as_a_whole(tmp_path: Path) -> None:
    text = pgbackrest(*[(n * DAY_S, False) for n in range(1500, 0, -1)])
    assert 64 * 1024 < len(text) < 256 * 1024
    (tmp_path / "catalogue").write_text(text)
    reading = await run(
        command=("cat", str(tmp_path / "catalogue")), json_path="[0].backup[*].timestamp.stop"
    )
    assert reading.facts["backup_age_s"] < DAY_S + 60


@pytest.mark.parametrize(
    "command",
    [
        printing("2026-11-25T00:00:00", status=1),
        printing(""),
        printing("yesterday"),
        printing("20261125"),
        printing("{"),
        ("/no/such/program",),
        ("sh", "-c", "kill -9 $$"),
    ],
)
async def test_what_can_not_be_found_out_is_unknown(
    node: NodeAccess | None, command: tuple[str, ...]
) -> None:
    reading = await run(node, command=command)
    assert reading.outcome is Outcome.UNKNOWN
    assert reading.detail


async def test_over_ssh_it_sees_the_same(sshd: SshServer, tmp_path: Path) -> None:
    write(tmp_path / 'it\'s "$(id)" here.dump', 2 * HOUR_S)
    write(tmp_path / "b.dump.partial", HOUR_S)
    access = SshAccess("db1", LOOPBACK, sshd.settings(), SecretStore())
    try:
        found = await run(access, files=f"{tmp_path}/*.dump*")
        missing = await run(access, files=f"{tmp_path}/not_mounted/*")
        printed = await run(access, command=printing(iso(2 * HOUR_S)))
        failing = await run(access, command=printing("", status=3))
    finally:
        await access.aclose()
    assert found.facts["name"] == f'{tmp_path}/it\'s "$(id)" here.dump'
    assert {found.outcome, printed.outcome} == {Outcome.SUCCEEDED}
    assert {missing.outcome, failing.outcome} == {Outcome.UNKNOWN}
    assert "exit status 3" in failing.detail


async def test_a_node_without_access_is_unknown_and_no_other_host_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "a.dump", HOUR_S)
    reading = await run(None, files=f"{tmp_path}/*.dump", where="node")
    assert reading.outcome is Outcome.UNKNOWN
    assert "no access to a node" in reading.detail


async def test_a_node_that_can_not_be_reached_is_unknown(sshd: SshServer) -> None:
    async with nobody() as port:
        access = SshAccess("db1", LOOPBACK, sshd.settings(port=port), SecretStore())
        try:
            reading = await run(access, files="/backups/*")
        finally:
            await access.aclose()
    assert reading.outcome is Outcome.UNKNOWN


async def test_an_attempt_that_is_cancelled_leaves_no_program_behind(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    attempt = asyncio.create_task(probe(command=("sh", "-c", f"echo $$ > {told}; exec sleep 600")).check())
    async with asyncio.timeout(SOON_S):
        while not (told.exists() and (pid := told.read_text().strip())):
            await asyncio.sleep(0.01)
        attempt.cancel()
        done, _ = await asyncio.wait([attempt], timeout=1.0)
        assert done
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"files": "/b/*", "command": ("x",)},
        {"files": "/b/*", "where": "controller", "os_user": "postgres"},
        {"files": "backups/*"},
        {"files": "/backups/../etc/*"},
        {"files": "/backups/**"},
        {"files": "/backups//x"},
        {"files": "/backups/[z-a]"},
        {"files": "/b/*", "json_path": "a"},
        {"files": "/b/*", "settled": "26h"},
        {"files": "/b/*", "ignore": ("a/b",)},
        {"command": ("x",), "json_path": "a..b"},
        {"command": ("x",), "timezone": "Mars/Olympus"},
        {"command": ("x",), "timezone": "../etc/passwd"},
        {"command": ("",)},
        {"command": ("x",), "max_age": "0s"},
    ],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        BackupOptions.model_validate({"max_age": "26h", **options})
