"""A real RabbitMQ on free ports of loopback, for tests: with its own epmd, directories and cookie."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.certificates import LOOPBACK, Certificate, certificate
from tests.pg_pair import free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PASSWORD = "correct horse"
NODE = "bcm-test@localhost"
_START_S = 60.0
_STOP_S = 20.0


class RabbitMq:
    """Virtual host `shop`, where `probe` may do all and `reader` may write nothing; `outsider` has
    none. `full` takes no connection."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port, self.tls_port = free_port(), free_port()
        self.made: Certificate = certificate(root, days=30)
        self._account = pwd.getpwnam("rabbitmq").pw_name if os.geteuid() == 0 else None
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(root / "mnesia"),
            "RABBITMQ_LOG_BASE": str(root / "log"),
            "RABBITMQ_CONFIG_FILE": str(root / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(root / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": str(root / "pid"),
            # One scheduler that does not spin: it starts sooner where other tests run beside it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._write_files()
        self._epmd = self._spawn(["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-address", LOOPBACK])
        self._server = self._spawn([str(SERVER)])
        deadline_s = time.monotonic() + _START_S
        while not (self._answers(self.port) and self._answers(self.tls_port)):
            assert self._server.poll() is None, self._said()
            assert time.monotonic() < deadline_s, self._said()
            time.sleep(0.05)

    def call(self, function: str, argument: str) -> None:
        """`module function` within the broker; quick, where rabbitmqctl takes seconds."""
        erl_call = next(Path("/usr/lib/erlang/lib").glob("erl_interface-*/bin/erl_call"))
        cookie = (self.root / ".erlang.cookie").read_text()
        subprocess.run(
            [erl_call, "-c", cookie, "-n", NODE, "-a", f"{function} [{argument}]"],
            env=self._environment, check=True, capture_output=True, timeout=20,
        )  # fmt: skip

    def ask_to_stop(self) -> None:
        os.kill(int((self.root / "pid").read_text()), signal.SIGTERM)

    def stop(self) -> None:
        if self._server is not None:
            with suppress(OSError, ValueError):
                self.ask_to_stop()
            try:
                self._server.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def _write_files(self) -> None:
        (self.root / "definitions.json").write_text(json.dumps(_definitions()))
        lines = {
            "listeners.tcp.1": f"{LOOPBACK}:{self.port}",
            "listeners.ssl.1": f"{LOOPBACK}:{self.tls_port}",
            "ssl_options.certfile": self.made.file,
            "ssl_options.keyfile": self.made.file,
            "ssl_options.cacertfile": self.made.file,
            "cluster_name": "shop",
            "disk_free_limit.absolute": "1MB",
            "load_definitions": self.root / "definitions.json",
        }
        (self.root / "rabbitmq.conf").write_text(
            "".join(f"{key} = {value}\n" for key, value in lines.items())
        )
        (self.root / "plugins").write_text("[].\n")
        if self._account is not None:
            for path in (self.root, *self.root.iterdir()):
                shutil.chown(path, self._account)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        other = (
            {}
            if self._account is None
            else {"user": self._account, "group": self._account, "extra_groups": []}
        )
        with (self.root / "out").open("ab") as out:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                **other,  # type: ignore[call-overload]
            )

    def _answers(self, port: int) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            return True
        return False

    def _said(self) -> str:
        return (self.root / "out").read_text()[-3000:]


def _definitions() -> dict[str, object]:
    names = ("probe", "reader", "outsider")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [
            {"name": name, "password_hash": _hashed(PASSWORD), "tags": ""} for name in names
        ],
        "vhosts": [{"name": "shop"}, {"name": "full"}],
        "parameters": [
            {"vhost": "full", "component": "vhost-limits", "name": "limits", "value": {"max-connections": 0}}
        ],
        "permissions": [
            {"user": "probe", "vhost": "full", **everything},
            {"user": "probe", "vhost": "shop", **everything},
            {"user": "reader", "vhost": "shop", **everything, "write": "^$"},
        ],
    }  # fmt: skip


def _hashed(password: str) -> str:
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


@contextmanager
def running_rabbitmq() -> Iterator[RabbitMq]:
    if not SERVER.exists() or shutil.which("epmd") is None:
        pytest.skip("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")
    # Not below pytest's directory, which is closed to the account that the server runs as.
    root = Path(tempfile.mkdtemp(prefix="bcm-rabbitmq-"))
    server = RabbitMq(root)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root)
