"""Takes note of the death of servers that nobody waits for.

A server that the daemon restarted with pg_ctl is an orphan; when it is killed it stays a zombie until its new
parent looks. Some containers' init takes seconds, or never looks, and until then the server's pid counts as
alive: it can neither be started nor rewound. So the demo adopts them and looks often.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path

from controller.demo.processes import PROCESS_NAME, process_name, process_state

INTERVAL_S = 0.02  # a fraction of what a restart takes
_PR_SET_CHILD_SUBREAPER = 36
# How many of this process are at work; with the last, orphans are again the business of init.
_at_work = 0
_counting = threading.Lock()


class Reaper:
    """From `start` on, orphaned servers below this process become its children and are reaped."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)

    def start(self) -> None:
        _adopt(1)
        self._thread.start()

    def stop(self) -> None:
        """Idempotent."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
            _adopt(-1)

    def _run(self) -> None:
        while not self._end.wait(INTERVAL_S):
            for pid in _children():
                if process_state(pid) == "Z" and process_name(pid) == PROCESS_NAME:
                    # subprocess may have been first; it copes with our being first.
                    with suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)


def _adopt(more: int) -> None:
    global _at_work  # noqa: PLW0603  # the kernel's flag is one for the whole process
    with _counting:
        _at_work += more
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(_at_work > 0), 0, 0, 0)


def _children() -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # threads end, and files may be short
        for task in Path("/proc/self/task").iterdir():
            with suppress(OSError):
                found += [int(pid) for pid in (task / "children").read_text(encoding="ascii").split()]
    return found
