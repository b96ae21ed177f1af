"""A real Patroni cluster of two PostgreSQL servers over a real etcd, on free ports of loopback, for tests.

PostgreSQL refuses to run as root, and another account may not read this interpreter. So the servers run in a
user namespace in which they are somebody else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
import yaml

from tests.pg_pair import BIN_DIRS, free_port

PASSWORD: Final = "patroni-rest-secret"
NAMES: Final = ("east", "west")
_START_S: Final = 90.0
_AS_NOBODY: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@dataclass
class PatroniCluster:
    """ports: of the REST APIs, by member."""

    root: Path
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports.values()]

    def members(self) -> dict[str, dict[str, Any]]:
        """As Patroni shows them; {} while it does not answer."""
        return {m["name"]: m for m in self.shown().get("members", ())}

    def shown(self) -> dict[str, Any]:
        for url in self.urls:
            with suppress(OSError), urlopen(f"{url}/cluster", timeout=2) as response:
                found: dict[str, Any] = json.load(response)
                return found
        return {}

    def leader(self) -> str | None:
        return next((n for n, m in self.members().items() if m["role"] == "leader"), None)

    def is_well(self) -> bool:
        """Somebody leads, and the other streams."""
        states = {m["role"]: m["state"] for m in self.members().values()}
        return states.get("leader") == "running" and states.get("replica") == "streaming"

    def wait(self, what: Callable[[], bool], text: str) -> None:
        end_s = time.monotonic() + _START_S
        while not what():
            assert time.monotonic() < end_s, f"{text}: {self.shown()}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(p.read_text()[-1500:] for p in sorted(self.root.glob("*.log")))

    def start(self, name: str) -> None:
        with (self.root / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [*_account(), sys.executable, "-m", "patroni", str(self.root / f"{name}.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(5)


@contextmanager
def running_patroni(root: Path) -> Iterator[PatroniCluster]:
    """Two members that are well. Skips the test where something that it needs is missing."""
    etcd = shutil.which("etcd")
    if etcd is None:
        pytest.skip("etcd is not installed (Debian: etcd-server)")
    if not BIN_DIRS[15].exists():
        pytest.skip("PostgreSQL 15 is not installed (Debian: postgresql-15)")
    tried = subprocess.run([*_account(), "true"], check=False, capture_output=True)
    if tried.returncode != 0:
        pytest.skip("no user namespace can be made here, and PostgreSQL does not run as root")
    client, peer = free_port(), free_port()
    with (root / "etcd.log").open("wb") as log:
        store = subprocess.Popen(
            [
                etcd,
                f"--data-dir={root / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{client}",
                f"--advertise-client-urls=http://127.0.0.1:{client}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster=default=http://127.0.0.1:{peer}",
                "--unsafe-no-fsync",
            ],
            stdout=log,
            stderr=log,
        )
    cluster = PatroniCluster(root, {name: free_port() for name in NAMES})
    try:
        for name in NAMES:
            (root / f"{name}.yml").write_text(
                yaml.safe_dump(_config(root, name, cluster.ports[name], client))
            )
        cluster.start("east")
        cluster.wait(lambda: cluster.leader() == "east", "the first member does not lead")
        cluster.start("west")
        cluster.wait(cluster.is_well, "the cluster does not come up")
        yield cluster
    finally:
        cluster.stop()
        store.terminate()
        store.wait(10)


def _account() -> tuple[str, ...]:
    return _AS_NOBODY if os.geteuid() == 0 else ()


def _config(root: Path, name: str, rest: int, etcd: int) -> dict[str, Any]:
    sockets = root / f"{name}-s"
    sockets.mkdir()
    login = {"password": "of-the-database"}
    return {
        "scope": "orders",
        "name": name,
        "restapi": {
            "listen": f"127.0.0.1:{rest}",
            "connect_address": f"127.0.0.1:{rest}",
            "authentication": {"username": "ops", "password": PASSWORD},
        },
        "etcd3": {"hosts": f"127.0.0.1:{etcd}"},
        "bootstrap": {
            "dcs": {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 1048576},
            "initdb": [{"encoding": "UTF8"}, "no-sync"],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{free_port()}",
            "data_dir": str(root / f"{name}-data"),
            "bin_dir": str(BIN_DIRS[15]),
            "pgpass": str(root / f"{name}.pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", **login},
                "replication": {"username": "copier", **login},
            },
            "parameters": {"fsync": "off", "shared_buffers": "16MB", "unix_socket_directories": str(sockets)},
            "pg_hba": ["local all all trust", "host all,replication all 127.0.0.1/32 scram-sha-256"],
        },
    }
