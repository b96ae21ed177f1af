"""The row that says who owns the journal. Its epoch only grows (S4)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from controller.store.files import StateFiles
from model.errors import LeadershipLostError


@dataclass(frozen=True, slots=True)
class Leadership:
    """One row. `since` is wall time, for people only."""

    epoch: int
    owner: str
    pid: int
    boot_id: str
    since: str

    def describe(self) -> str:
        return f"{self.owner} (pid {self.pid}, epoch {self.epoch}, since {self.since})"


def read_leadership(connection: sqlite3.Connection) -> Leadership | None:
    row = connection.execute("SELECT epoch, owner, pid, boot_id, since FROM leadership").fetchone()
    return None if row is None else Leadership(*row)


def write_leadership(connection: sqlite3.Connection, row: Leadership) -> None:
    connection.execute(
        "INSERT INTO leadership (one, epoch, owner, pid, boot_id, since) VALUES (1, ?, ?, ?, ?, ?) "
        "ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner, "
        "pid = excluded.pid, boot_id = excluded.boot_id, since = excluded.since",
        (row.epoch, row.owner, row.pid, row.boot_id, row.since),
    )


def lost_to(current: Leadership | None, epoch: int, files: StateFiles) -> LeadershipLostError:
    """This process was the owner, and another has taken over."""
    who = current.describe() if current else "nobody that left a name"
    return LeadershipLostError(
        f"the leadership of epoch {epoch} is lost; the owner now is {who}: nothing was written",
        where=str(files.dir),
        hint="this process changes nothing any more; stop it, and start it again if it shall lead",
    )


def owned_by(current: Leadership | None, files: StateFiles) -> LeadershipLostError:
    """Another process held the lock when this one started."""
    who = current.describe() if current else "a process that is just starting"
    pid = current.pid if current else "PID"
    return LeadershipLostError(
        f"another process owns this journal: {who}; this one only observes and wrote nothing",
        where=str(files.dir),
        hint=f"stop the owner (`kill {pid}`; if it is frozen `kill -9 {pid}`) and start this one again, or "
        "give this one a state directory of its own; a frozen owner can also be taken over with a reason",
    )
