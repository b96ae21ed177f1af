"""The admin socket's file: whose it is, and what happens where something is in the way."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from controller.api.unix_socket import open_admin_socket, remove_admin_socket
from model.errors import BcmError

NO_GROUP = "nobody-has-this-group"


def test_only_owner_and_group_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "new" / "admin.sock"
    with open_admin_socket(path, NO_GROUP):
        mode = path.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660
        assert [p.name for p in path.parent.iterdir()] == ["admin.sock"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to any group")
def test_the_socket_belongs_to_the_operators_group(tmp_path: Path) -> None:
    group = next(g for g in grp.getgrall() if g.gr_gid != 0)
    path = tmp_path / "admin.sock"
    with open_admin_socket(path, group.gr_name):
        assert path.stat().st_gid == group.gr_gid


def test_what_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_admin_socket(path, NO_GROUP), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_a_socket_where_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with open_admin_socket(path, NO_GROUP):
        inode = path.stat().st_ino
        with pytest.raises(BcmError, match="another daemon listens here"):
            open_admin_socket(path, NO_GROUP)
        assert path.stat().st_ino == inode


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    path.write_text("precious")
    with pytest.raises(BcmError, match="no socket"):
        open_admin_socket(path, NO_GROUP)
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_says_so(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(BcmError) as refused:
        open_admin_socket(path, NO_GROUP)
    assert "107 bytes" in refused.value.hint


def test_at_the_end_only_our_own_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with open_admin_socket(path, NO_GROUP):
        inode = path.stat().st_ino
        path.rename(tmp_path / "ours")
        path.write_text("somebody else's")
        remove_admin_socket(path, inode)
        assert path.exists()
        (tmp_path / "ours").rename(path)
        remove_admin_socket(path, inode)
        assert not path.exists()
