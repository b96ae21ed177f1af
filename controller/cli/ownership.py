"""Commands that write to the store do so as its owner: what root leaves there the daemon could not write."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from model.errors import UsageError


def become_owner_of(directory: Path) -> None:
    """root → the account that `directory` belongs to, with its groups, for the rest of this process.

    Nothing changes for others, for a directory of root's, or where there is none yet. Raises UsageError.
    """
    if os.geteuid() != 0 or not directory.exists():
        return
    status = directory.stat()
    if status.st_uid == 0:
        return
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
        groups = os.getgrouplist(name, status.st_gid)
    except KeyError:
        groups = [status.st_gid]
    try:
        os.setgroups(groups)
        os.setgid(status.st_gid)
        os.setuid(status.st_uid)
    except OSError as error:
        raise UsageError(
            f"can't become uid {status.st_uid}, to whom the state belongs: {error.strerror}",
            where=str(directory),
            hint=f"run it as that account: sudo -u '#{status.st_uid}' …",
        ) from error
