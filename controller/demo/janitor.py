"""Cleans up after the demo, whatever ended it: a process of its own that waits for the other to go away.

The demo holds the other end of this process's standard input. When it closes it, or dies in any way (also by
kill -9), the servers below the base directory are killed and the directory is removed. Signals meant for the
demo (Ctrl-C, SIGTERM to its group) do not stop the cleaning.

Lines understood: `segment N` (shared memory that a killed server left behind), `keep` (leave everything).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from controller.demo import processes

CLEAN_TIMEOUT_S = 15.0
_OURS = (
    "postgres",
    "pg_",
    "redis-server",
    "haproxy",
    "nginx",
    "mariadbd",
    "python",
    "bcm-failover",
    "cp",
)  # what may be killed for naming the directory


def clean(base: Path, uid: int, segments: Iterable[int] = ()) -> bool:
    """Kill what runs below `base`, unmount, remove it. Is everything gone?"""
    left = set(segments)
    deadline = time.monotonic() + CLEAN_TIMEOUT_S
    while base.exists() and time.monotonic() < deadline:
        homes = [path.parent for path in base.glob("*/data")]
        helpers = [pid for pid in processes.of_command_line(f"{base}/") if _ours(pid)]
        processes.send(helpers, signal.SIGKILL)
        for home in homes:
            segment = processes.shared_memory_id(home / "data")
            left |= {segment} if segment is not None else set()
            processes.kill_tree(home / "data")
        _unmount_below(base)
        # A command killed above may have been writing: what it made meanwhile goes in the next round.
        shutil.rmtree(base, ignore_errors=True)
    for segment in left:
        processes.remove_shared_memory(segment, uid)
    return not base.exists()


def _ours(pid: int) -> bool:
    return processes.process_name(pid).startswith(_OURS)


def _unmount_below(base: Path) -> None:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        target = line.split()[1]
        if target.startswith(f"{base}/"):
            subprocess.run(["umount", "--lazy", target], check=False, capture_output=True, timeout=10)


def main() -> int:
    """`janitor BASE UID`, with the pipe on standard input. Exit code 1 if something could not be removed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    base, uid = Path(sys.argv[1]), int(sys.argv[2])
    segments: set[int] = set()
    for line in sys.stdin:
        match line.split():
            case ["keep"]:
                return 0
            case ["segment", segment]:
                segments.add(int(segment))
            case _:
                continue
    return 0 if clean(base, uid, segments) else 1


class Janitor:
    """The demo's end: starts the process, tells it what it can't see, and has it clean."""

    def __init__(self, base: Path, uid: int) -> None:
        self._base = base
        self._uid = uid
        self._segments: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "controller.demo.janitor", str(base), str(uid)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=Path(__file__).resolve().parents[2],
            env={"PATH": os.defpath},
        )

    def note_segment(self, segment: int) -> None:
        """A killed server's shared memory, to be removed at the end."""
        if segment not in self._segments:
            self._segments.add(segment)
            self._tell(f"segment {segment}\n")

    def keep(self) -> None:
        """Go away without cleaning."""
        self._tell("keep\n")
        self._end()

    def clean(self) -> bool:
        """Have everything removed and wait for it. Is everything gone?"""
        self._end()
        return not self._base.exists() or clean(self._base, self._uid, self._segments)

    def _tell(self, line: str) -> None:
        if (
            self._process.stdin is not None
            and not self._process.stdin.closed
            and self._process.poll() is None
        ):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _end(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=CLEAN_TIMEOUT_S + 5)
        except subprocess.TimeoutExpired:  # a machine that is busy: whoever waits goes on with it
            self._process.kill()
            self._process.wait()


if __name__ == "__main__":
    sys.exit(main())
