"""A real systemd for tests: the manager of an account (`systemd --user`) with a unit directory of its own.

systemd as a whole only runs as process 1. The manager of an account is the same program and answers the same
`systemctl`. It gets a /run of its own, and of the tree of control groups a branch of its own, so that it
moves no process but its own. Linux, and root or nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from model.ports import CommandResult, NodeAccess

MANAGER = Path("/lib/systemd/systemd")
START_S = 10.0
_GROUPS = Path("/sys/fs/cgroup/systemd")  # the tree that has no controllers, only names
# In a mount namespace: nothing of it is seen outside. The tree begins at the group that the shell is in.
_ENTER = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
exec "$@"
"""


class UserManager(NodeAccess):
    """`access` wraps a node's access so that `systemctl --user` there finds this manager."""

    def __init__(self, access: NodeAccess, runtime: Path, units: Path) -> None:
        self._access = access
        self._env = {"XDG_RUNTIME_DIR": str(runtime)}
        self.units = units

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        return await self._access.run(argv, timeout_s=timeout_s, user=user, stdin=stdin, env=self._env)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return self._access.describe(argv, user=user)

    def systemctl(self, *words: str, check: bool = True) -> None:
        command = ["systemctl", "--user", *words]
        environment = {**os.environ, **self._env}
        subprocess.run(command, env=environment, check=check, timeout=START_S, capture_output=True)

    def add(self, name: str, text: str) -> None:
        (self.units / name).write_text(text)


@contextmanager
def running_user_manager(root: Path, access: NodeAccess) -> Iterator[UserManager]:
    """Skips the test where none can run."""
    if os.geteuid() != 0 or not MANAGER.exists() or shutil.which("unshare") is None:
        pytest.skip("needs root, systemd and unshare")
    if not (_GROUPS / "cgroup.procs").exists():
        pytest.skip("the tree of control groups of systemd is not mounted here as version 1")
    runtime, units = root / "runtime", root / "units"
    for directory in (runtime, units):
        directory.mkdir(mode=0o700)
    (units / "basic.target").write_text("[Unit]\nDescription=nothing\n")
    manager = UserManager(access, runtime, units)
    group = _GROUPS / f"bcm-test-{os.getpid()}"
    group.mkdir()
    log = root / "manager.log"
    process = None
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec unshare -m -C sh -c "$ENTER" sh "$@"',
                 "sh", MANAGER, "--user", "--unit=basic.target"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={"PATH": os.environ["PATH"], "HOME": str(root), "ENTER": _ENTER,
                     "XDG_RUNTIME_DIR": str(runtime),
                     # The first is where `systemctl mask --runtime` writes.
                     "SYSTEMD_UNIT_PATH": f"{runtime}/systemd/user:{units}"},
            )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while not (runtime / "systemd" / "private").exists():
            if process.poll() is not None or time.monotonic() > deadline_s:
                pytest.skip(f"no manager runs here: {log.read_text()[-300:]}")
            time.sleep(0.01)
        yield manager
    finally:
        if process is not None:
            _stop(process, group)
        _remove(group)


def _stop(process: subprocess.Popen[bytes], group: Path) -> None:
    """Killed, with all that it has started: nothing of it is worth an orderly end."""
    process.kill()
    process.wait()
    for file in group.rglob("cgroup.procs"):
        for pid in file.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def _remove(group: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while group.exists() and time.monotonic() < deadline_s:
        for directory in sorted((d for d in group.rglob("*") if d.is_dir()), reverse=True):
            with suppress(OSError):
                directory.rmdir()
        with suppress(OSError):
            group.rmdir()
        time.sleep(0.01)
