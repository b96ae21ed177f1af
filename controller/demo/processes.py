"""A server's process tree, found by where its processes live, and signalled as one.

Each backend is a session leader of its own and loses its parent when the postmaster dies, so neither session
nor parent names the tree. All of them have the data directory as working directory: that does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_S = 0.005
KILL_TIMEOUT_S = 10.0  # SIGKILL is slow only for a process that waits for its disk
PROCESS_NAME = "postgres"
_IPC_RMID = 0


def tree(data_dir: Path) -> list[int]:
    """Pids of every living process of the server in `data_dir`, the postmaster first."""
    where = os.path.realpath(data_dir)
    pids = [pid for pid in _all_pids() if _works_in(pid, where)]
    postmaster = postmaster_pid(data_dir)
    return sorted(pids, key=lambda pid: (pid != postmaster, pid))


def postmaster_pid(data_dir: Path) -> int | None:
    """As postmaster.pid says; the process may be dead."""
    lines = _pid_file(data_dir)
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def postmaster_ready(data_dir: Path) -> bool:
    """Does a living postmaster say in postmaster.pid that it accepts connections (as pg_ctl reads it)?"""
    lines = _pid_file(data_dir)
    if len(lines) < 8 or lines[7].strip() != "ready" or not lines[0].strip().isdigit():
        return False
    return _works_in(int(lines[0]), os.path.realpath(data_dir))


def running(data_dir: Path) -> bool:
    return bool(tree(data_dir))


def wait_reaped(pid: int, timeout_s: float = 3.0) -> bool:
    """Until the pid is free. Until its parent has taken note, a dead postmaster counts as a living one to
    the next server: `lock file "postmaster.pid" already exists`. Some containers' init takes a while."""
    return wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout_s=timeout_s)


def stopped_by_signal(pid: int) -> bool:
    """Is it in state T (SIGSTOP)? False if it is gone."""
    return process_state(pid) in ("T", "t")


def kill_tree(data_dir: Path) -> list[int]:
    """SIGKILL to all at once, the postmaster first: nobody is left to react or to fork. Returns the pids."""
    killed: list[int] = []
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (pids := tree(data_dir)) and time.monotonic() < deadline:
        send(pids, signal.SIGKILL)
        killed.extend(pid for pid in pids if pid not in killed)
        wait_until(lambda: not any(_alive(pid) for pid in killed), timeout_s=1.0)
    return killed


def stop_tree(data_dir: Path) -> list[int]:
    """SIGSTOP to all, the postmaster first (it could fork meanwhile), until all of them stand still."""
    stopped: list[int] = []
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        moving = [pid for pid in tree(data_dir) if not stopped_by_signal(pid)]
        if not moving:
            break
        send(moving, signal.SIGSTOP)
        stopped.extend(pid for pid in moving if pid not in stopped)
    return stopped


def cont_tree(data_dir: Path) -> list[int]:
    """SIGCONT to all. Returns the pids."""
    pids = tree(data_dir)
    send(pids, signal.SIGCONT)
    return pids


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """One signal to each; those that are gone are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], *, timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Did `condition` come true within `timeout_s`?"""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True


def shared_memory_id(data_dir: Path) -> int | None:
    """Of the System V segment that guards the data directory; a killed server leaves it behind."""
    lines = _pid_file(data_dir)
    fields = lines[6].split() if len(lines) > 6 else []
    return int(fields[1]) if len(fields) == 2 and fields[1].isdigit() else None


def remove_shared_memory(segment_id: int, uid: int) -> bool:
    """Remove a segment that nobody is attached to and that belongs to `uid`. Was it removed?"""
    for line in Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[1]) == segment_id and int(fields[6]) == 0 and int(fields[7]) == uid:
            libc = ctypes.CDLL(None, use_errno=True)
            return bool(libc.shmctl(segment_id, _IPC_RMID, None) == 0)
    return False


def of_command_line(text: str) -> list[int]:
    """Pids of the processes that have `text` in their command line, but for this one and its ancestors."""
    own = {os.getpid()}
    parent = os.getppid()
    while parent > 1:
        own.add(parent)
        parent = _parent(parent)
    return [pid for pid in _all_pids() if pid not in own and text in _command_line(pid)]


def process_name(pid: int) -> str:
    """'' if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _pid_file(data_dir: Path) -> list[str]:
    try:
        return (data_dir / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _works_in(pid: int, where: str) -> bool:
    """A zombie has no working directory any more, so it does not count."""
    try:
        cwd = str(Path(f"/proc/{pid}/cwd").readlink())
        if cwd.removesuffix(" (deleted)") != where:
            return False
    except OSError:
        return False
    return process_name(pid) == PROCESS_NAME


def _alive(pid: int) -> bool:
    return process_state(pid) not in (None, "Z", "X")


def process_state(pid: int) -> str | None:
    """The letter of /proc (R, S, D, T, Z…), None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[0]


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
