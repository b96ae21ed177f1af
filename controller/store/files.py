"""The files of a state directory, and who may touch them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from model.errors import JournalError


@dataclass(frozen=True, slots=True)
class StateFiles:
    """Names are fixed: operators, backups and the documentation rely on them."""

    dir: Path

    @property
    def database(self) -> Path:
        return self.dir / "journal.db"

    @property
    def wal(self) -> Path:
        return self.dir / "journal.db-wal"

    @property
    def shm(self) -> Path:
        return self.dir / "journal.db-shm"

    @property
    def anchor(self) -> Path:
        return self.dir / "anchor"

    @property
    def previous_anchor(self) -> Path:
        return self.dir / "anchor.1"

    @property
    def lock(self) -> Path:
        return self.dir / "lock"

    @property
    def key(self) -> Path:
        return self.dir / "host-key.pem"

    @property
    def restarting(self) -> Path:
        """The new journal of a repair, until it is in place: its presence means an interrupted repair."""
        return self.dir / "restarting"

    @property
    def journal_files(self) -> tuple[Path, ...]:
        """What a repair moves aside."""
        return (self.database, self.wal, self.shm, self.anchor, self.previous_anchor)

    def prepare(self) -> None:
        """Make the directory (0700) and refuse modes that let others rewrite or read the journal.

        Raises JournalError.
        """
        try:
            self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"the state directory can't be made: {error.strerror}",
                where=str(self.dir),
                hint="create it for the daemon's user, or name another one under daemon.state_dir",
            ) from error
        self._check_directory()
        for path in (*self.journal_files, self.lock, self.key):
            self._check_file(path)

    def _check_directory(self) -> None:
        status = self.dir.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise JournalError("the state directory is no directory", where=str(self.dir))
        if status.st_mode & 0o022:
            raise JournalError(
                f"the state directory may be written by others (mode {stat.S_IMODE(status.st_mode):04o})",
                where=str(self.dir),
                hint=f"chmod go-w {self.dir}",
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise JournalError(
                f"the state directory belongs to uid {status.st_uid}, this process runs as {os.geteuid()}",
                where=str(self.dir),
                hint="run as its owner, or give the directory to the daemon's user",
            )

    def _check_file(self, path: Path) -> None:
        try:
            status = path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise JournalError("is no regular file", where=str(path), hint="move it out of the way")
        # The key signs: nobody else may read it. The rest may be readable by a group of operators.
        forbidden = 0o077 if path == self.key else 0o027
        if status.st_mode & forbidden:
            raise JournalError(
                f"may be read or written by others (mode {stat.S_IMODE(status.st_mode):04o})",
                where=str(path),
                hint=f"chmod 600 {path}, and find out who did that and whether the journal was touched",
            )


def create_private(path: Path) -> bool:
    """An empty file with mode 0600 whatever the umask is. False if it was there already."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return False
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return True


def sync_directory(directory: Path) -> None:
    """A new or renamed file is only safe once its directory is on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
