"""The state lock: which living process owns a state directory.

An flock ends with its process, however it dies; no timer is involved, so a slow owner never loses it to a
clock. It says nothing about a frozen owner: that is what the epoch in the database is for.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class StateLock:
    """Held from `acquire` or `replace` until `release`, or until the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        return self._descriptor >= 0

    def acquire(self) -> bool:
        """False if another living process holds it. Raises OSError."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if self._is_in_place(descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # replaced by a take-over between the opening and the lock: look again

    def replace(self) -> None:
        """Take over from a frozen owner: a new file takes the place of the one whose lock it holds.

        Called while the database is locked for writing, so that of two take-overs one comes after the other.
        """
        fresh = self._path.with_name(f"lock.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fresh.rename(self._path)
        except BaseException:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        self.release()
        self._descriptor = descriptor

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
