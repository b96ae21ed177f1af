"""The faults of the demo, each with its healing. Some call for a failover, most must not cause one."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from controller.demo import sockets
from controller.demo.cluster import Cluster
from controller.demo.node import Node
from controller.demo.settings import APP_DATABASE, APP_ROLE, LOOPBACK, MONITOR_ROLE
from model.errors import BcmError

RESTART_AFTER_S = 0.1  # the delay of a service manager, as systemd's RestartSec
SILENCE_S = 2.0  # the longest stall that the profile `balanced` must ride out
SMALL_DISK_MB = 160  # holds a fresh cluster with small WAL segments, and little more
_BALLAST = "ballast"


@dataclass(slots=True)
class Injected:
    """A fault that was made. `at_ns` is of CLOCK_MONOTONIC, just before its effect.

    heal: takes it back, as far as it does not go away by itself; idempotent.
    """

    fault: str
    node: str
    at_ns: int
    _heal: Callable[[], None] = lambda: None
    _second_half: threading.Thread | None = None
    _errors: list[BaseException] = field(default_factory=list)

    def finish(self) -> None:
        """Wait for what the fault does later by itself (a restart, a waking). Raises its error."""
        if self._second_half is not None:
            self._second_half.join()
        if self._errors:
            raise self._errors[0]

    def then(self, action: Callable[[], None]) -> Injected:
        """Do `action` behind the caller's back; `finish` waits for it."""

        def run() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - handed to whoever calls finish()
                self._errors.append(error)

        self._second_half = threading.Thread(target=run, name=self.fault, daemon=True)
        self._second_half.start()
        return self

    def heal(self) -> None:
        self.finish()
        self._heal()


@dataclass(frozen=True, slots=True)
class Fault:
    """`failover`: is one called for? `unsupported` says why it can't be made here, or None."""

    name: str
    sentence: str
    failover: bool
    inject: Callable[[Cluster], Injected]
    unsupported: Callable[[], str | None] = lambda: None


def crash(cluster: Cluster) -> Injected:
    """kill -9 of the primary's whole process tree. It stays down: bringing it back is the product's work."""
    node, at_ns = _primary(cluster)
    node.kill_tree()
    return Injected("crash", node.name, at_ns)


def crash_restart(cluster: Cluster) -> Injected:
    """The same, and 100 ms later its service manager starts it again, once."""
    node, at_ns = _primary(cluster)
    node.kill_tree()

    def restart() -> None:
        time.sleep(RESTART_AFTER_S)
        node.spawn()

    return Injected("crash-restart", node.name, at_ns).then(restart)


def hang(cluster: Cluster) -> Injected:
    """SIGSTOP of the whole tree: sockets stay open, nobody answers. Healed by SIGCONT."""
    node, at_ns = _primary(cluster)
    node.stop_tree()
    return Injected("hang", node.name, at_ns, _heal=lambda: _void(node.cont_tree()))


def silence(cluster: Cluster) -> Injected:
    """A hang of 2.0 s that ends by itself."""
    node, at_ns = _primary(cluster)
    node.stop_tree()

    def wake() -> None:
        time.sleep(max(0.0, SILENCE_S - (time.monotonic_ns() - at_ns) / 1e9))
        node.cont_tree()

    return Injected("silence", node.name, at_ns, _heal=lambda: _void(node.cont_tree())).then(wake)


def restart(cluster: Cluster) -> Injected:
    """`pg_ctl restart -m fast`, as an operator does it."""
    node, at_ns = _primary(cluster)
    return Injected("restart", node.name, at_ns).then(node.restart)


def backend_kill(cluster: Cluster) -> Injected:
    """kill -9 of one backend of the application: the server drops all sessions and recovers by itself."""
    node, _ = _primary(cluster)
    pids = _backends(node, APP_ROLE)
    if not pids:
        raise BcmError(
            "no session of the application to kill", where=node.name, hint="start the client first"
        )
    at_ns = time.monotonic_ns()
    os.kill(pids[0], signal.SIGKILL)
    return Injected("backend-kill", node.name, at_ns)


def saturate(cluster: Cluster) -> Injected:
    """Take every connection that is not reserved: others get 53300. Healed by closing them."""
    node, at_ns = _primary(cluster)
    password = cluster.secret_file(APP_ROLE).read_text(encoding="utf-8").strip()
    taken: list[psycopg.Connection[tuple[object, ...]]] = []
    with suppress(psycopg.OperationalError):
        while True:
            taken.append(
                psycopg.connect(
                    host=LOOPBACK,
                    port=node.port,
                    dbname=APP_DATABASE,
                    user=APP_ROLE,
                    password=password,
                    connect_timeout=5,
                )
            )

    def release() -> None:
        while taken:
            taken.pop().close()

    return Injected("saturate", node.name, at_ns, _heal=release)


def hba_reject(cluster: Cluster) -> Injected:
    """pg_hba.conf turns the monitor's role away. Healed by the old file."""
    node, at_ns = _primary(cluster)
    path = node.data_dir / "pg_hba.conf"
    before = path.read_text(encoding="utf-8")
    path.write_text(f"host all {MONITOR_ROLE} {LOOPBACK}/32 reject\n{before}", encoding="utf-8")
    node.reload()

    def restore() -> None:
        path.write_text(before, encoding="utf-8")
        node.reload()

    return Injected("hba-reject", node.name, at_ns, _heal=restore)


def idle_kill(cluster: Cluster) -> Injected:
    """Ends the monitor's sessions with pg_terminate_backend: their holders read 57P01."""
    node, at_ns = _primary(cluster)
    node.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (MONITOR_ROLE,))
    return Injected("idle-kill", node.name, at_ns)


def idle_kill_tcp(cluster: Cluster) -> Injected:
    """Ends the monitor's sessions without a word, as a firewall that forgets idle connections does."""
    node, at_ns = _primary(cluster)
    for pid in _backends(node, MONITOR_ROLE):
        sockets.shut_of_process(pid, node.port)
    return Injected("idle-kill-tcp", node.name, at_ns)


def disk_full(cluster: Cluster) -> Injected:
    """Fills the primary's small file system (ClusterOptions.small_disk_mb). Healed by removing the file."""
    node, at_ns = _primary(cluster)
    if node.name not in cluster.options.small_disk_mb:
        raise BcmError(
            "its data are not on a small file system of their own, and the demo fills no other",
            where=node.name,
            hint="start the cluster with small_disk_mb",
        )
    ballast = node.data_dir / _BALLAST
    _fill(ballast)
    return Injected("disk-full", node.name, at_ns, _heal=lambda: ballast.unlink(missing_ok=True))


def nothing(cluster: Cluster) -> Injected:
    node, at_ns = _primary(cluster)
    return Injected("none", node.name, at_ns)


def disk_full_supported() -> str | None:
    """Why a full disk can't be made here, or None. It needs a mount, so root that may mount."""
    if os.geteuid() != 0:
        return "disk-full mounts a small file system for the primary: run it as root (sudo)"
    if shutil.which("mount") is None:
        return "disk-full needs the program `mount`"
    effective = next(
        line
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        if "CapEff" in line
    )
    if not int(effective.split()[1], 16) & _CAP_SYS_ADMIN:
        return "disk-full needs the right to mount (CAP_SYS_ADMIN), which this container does not have"
    return None


_CAP_SYS_ADMIN = 1 << 21

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("crash", "the primary's processes are killed", True, crash),
        Fault("crash-restart", "killed, and started again by its service manager", True, crash_restart),
        Fault("hang", "the primary falls silent with its sockets open", True, hang),
        Fault("disk-full", "the primary's disk is full", True, disk_full, disk_full_supported),
        Fault("restart", "an operator restarts the primary", False, restart),
        Fault("backend-kill", "one backend is killed", False, backend_kill),
        Fault("saturate", "all connections are taken", False, saturate),
        Fault("hba-reject", "the monitor's role is turned away", False, hba_reject),
        Fault("idle-kill", "the monitor's sessions are ended by an administrator", False, idle_kill),
        Fault("idle-kill-tcp", "they end without a word", False, idle_kill_tcp, sockets.unsupported),
        Fault("silence", "the primary is silent for 2.0 s", False, silence),
        Fault("none", "nothing happens", False, nothing),
    )
}  # fmt: skip


def _primary(cluster: Cluster) -> tuple[Node, int]:
    node = cluster.current_primary()
    if node is None:
        raise BcmError("the cluster has no primary to which a fault could happen")
    return node, time.monotonic_ns()


def _backends(node: Node, role: str) -> list[int]:
    rows = node.query(
        "SELECT pid FROM pg_stat_activity WHERE usename = %s AND backend_type = 'client backend'", (role,)
    )
    return [int(row[0]) for row in rows]


def _fill(path: Path) -> None:
    """Write until the file system has no room left, with ever smaller pieces."""
    size = 1 << 20
    with path.open("wb", buffering=0) as file:
        while size >= 512:
            try:
                if file.write(bytes(size)) < size:
                    size //= 2
            except OSError:
                size //= 2


def _void(_value: object) -> None:
    return None
