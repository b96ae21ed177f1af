"""What writes to the store as root does so as the store's owner, so that the daemon can go on with it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
_IDS = """
import os, sys
from pathlib import Path
from controller.cli.ownership import become_owner_of
become_owner_of(Path(sys.argv[1]))
print(os.getuid(), os.geteuid(), os.getgid(), sorted(os.getgroups()))
"""


def ids_after(directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _IDS, directory], capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


@as_root
def test_root_becomes_the_owner_for_good(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    groups = sorted(os.getgrouplist("nobody", nobody.pw_gid))
    assert ids_after(tmp_path) == f"{nobody.pw_uid} {nobody.pw_uid} {nobody.pw_gid} {groups}"


@as_root
def test_an_owner_without_a_name_has_its_group_only(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, 54322)
    assert ids_after(tmp_path) == "54321 54321 54322 [54322]"


def test_nothing_changes_in_a_directory_of_one_s_own_or_where_there_is_none(tmp_path: Path) -> None:
    mine = f"{os.getuid()} {os.geteuid()} {os.getgid()} {sorted(os.getgroups())}"
    assert ids_after(tmp_path) == mine
    assert ids_after(tmp_path / "none") == mine
