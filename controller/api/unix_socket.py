"""The admin socket's file: made without a moment in which somebody else could connect."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
import stat
from pathlib import Path

import structlog

from model.errors import BcmError

_log = structlog.get_logger(__name__)
_MODE = 0o660


def open_admin_socket(path: Path, group: str) -> socket.socket:
    """A listening socket at `path`, 0660, of `group` where that exists and this process may give it away.

    It is made under another name, given its rights, and only then moved into place. A file that a dead daemon
    left is replaced; one where somebody listens is not. Raises BcmError.
    """
    _refuse_if_taken(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            making.unlink()
        listener.bind(str(making))
        making.chmod(_MODE)
        _give_to_group(making, group)
        listener.listen(64)
        making.rename(path)
    except OSError as error:
        listener.close()
        with contextlib.suppress(OSError):
            making.unlink()
        raise BcmError(
            f"can't open the admin socket: {error.strerror or error}",
            where=str(path),
            hint=_hint(error, path),
        ) from error
    listener.setblocking(False)
    return listener


def remove_admin_socket(path: Path, inode: int) -> None:
    """Remove the file if it is still ours: another daemon may have put its own there."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == inode:
            path.unlink()


def _refuse_if_taken(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise BcmError(
            f"can't look at the admin socket: {error.strerror}", where=str(path), hint=_hint(error, path)
        ) from error
    if not stat.S_ISSOCK(mode):
        raise BcmError(
            "this is a file and no socket; it is left alone",
            where=str(path),
            hint="move it away, or set daemon.socket to another path",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        try:
            caller.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except OSError as error:
            # Not refused: it may be a daemon too busy to answer.
            raise BcmError(
                f"can't tell whether a daemon listens here: {error.strerror or error}",
                where=str(path),
                hint=_hint(error, path),
            ) from error
    raise BcmError(
        "another daemon listens here",
        where=str(path),
        hint="one daemon for one socket: stop the other, or set daemon.socket to another path",
    )


def _give_to_group(path: Path, group: str) -> None:
    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        _log.warning(
            "group of the admin socket does not exist: only our own account may connect", group=group
        )
        return
    try:
        os.chown(path, -1, gid)
    except PermissionError:
        _log.warning("may not give the admin socket to its group: this account is not in it", group=group)


def _hint(error: OSError, path: Path) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this account must be able to write to {path.parent} (RuntimeDirectory= in the unit)"
    if error.errno == errno.ENAMETOOLONG or "too long" in str(error):
        return "a unix socket's path has at most 107 bytes: set daemon.socket to a shorter one"
    return "see daemon.socket in the estate"
