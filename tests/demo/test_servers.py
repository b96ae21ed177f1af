"""Finding PostgreSQL, and making it usable for an unprivileged account."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from controller.demo import servers
from controller.demo.servers import Server, best_server, find_servers, server_account, usable_bin_dir
from model.errors import BcmError


def test_the_wheel_brings_a_server_with_all_programs() -> None:
    wheel = next(server for server in find_servers() if server.source.startswith("wheel"))
    assert wheel.version == 18
    assert all((wheel.bin_dir / program).exists() for program in servers.NEEDED)


def test_the_preferred_major_wins_and_another_one_serves_if_it_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [Server(18, Path("/a"), "wheel"), Server(15, Path("/b"), "installed")]
    monkeypatch.setattr(servers, "find_servers", lambda: both)
    assert best_server(15).version == 15
    assert best_server(17).version == 18
    with pytest.raises(BcmError, match="no PostgreSQL 17"):
        best_server(17, required=True)


def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_servers", list)
    with pytest.raises(BcmError, match=r"pip install 'bcm-failover\[demo\]'"):
        best_server()


def test_root_runs_servers_as_somebody_else() -> None:
    account = server_account()
    assert account.uid != 0
    assert account.switch == (os.geteuid() == 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers under another account")
def test_programs_in_a_directory_closed_to_the_account_are_copied(
    pg_server_18: Server, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    site = pg_server_18.bin_dir.parents[2]
    parts = [site / servers.WHEEL, site / servers.WHEEL_LIBRARIES]
    subprocess.run(["cp", "-a", *parts, closed], check=True)
    scratch = Path(tempfile.mkdtemp())
    scratch.chmod(0o755)
    try:
        bin_dir = usable_bin_dir(
            Server(18, closed / servers.WHEEL / servers.WHEEL_TREE, "test"), server_account(), scratch
        )
        assert bin_dir.is_relative_to(scratch)
        assert (
            "initdb (PostgreSQL) 18"
            in subprocess.run(
                [bin_dir / "initdb", "--version"],
                capture_output=True,
                text=True,
                check=True,
                cwd="/",
                **server_account().popen_options(),  # type: ignore[call-overload]
            ).stdout
        )
    finally:
        shutil.rmtree(scratch)
