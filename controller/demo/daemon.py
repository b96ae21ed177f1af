"""The product's own daemon, as the demo runs it: a process of its own, asked over its admin socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from controller.demo import processes
from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate, invoking_user
from model.errors import BcmError

START_TIMEOUT_S = 20.0
_LOG_LINES = 15


class Daemon:
    """One that watches the demo's service. `start` returns when that is seen to be ready for a fault."""

    def __init__(
        self,
        base: Path,
        service: str,
        estate: Callable[[Path, Path], str],
        ready: Callable[[dict[str, Any]], bool],
    ) -> None:
        """base: below it a directory is made for all that it keeps. estate: YAML, by the directory of its
        state and its socket. ready: by the status of the service."""
        base = base / "daemon"
        base.mkdir(mode=0o700, exist_ok=True)
        self.state_dir = base / "state"
        self.socket = base / "admin.sock"
        self.config = base / "estate.yaml"
        self.log = base / "daemon.log"
        self._service = service
        self._ready = ready
        self.config.write_text(estate(self.state_dir, self.socket), encoding="utf-8")
        self.program = [sys.executable, "-m", "controller.cli.main"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None  # narrows the type
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Raises BcmError with the end of its log if it is not ready in time."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program, "run", "-c", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=Path(__file__).resolve().parents[2],
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PYTHONSAFEPATH": ""},
            )
        if wait:
            self.wait(self._ready, START_TIMEOUT_S, "see the service healthy")

    def wait(
        self, condition: Callable[[dict[str, Any]], bool], timeout_s: float, what: str
    ) -> dict[str, Any]:
        """The first status of the demo's service that fulfils `condition`. Raises BcmError."""
        deadline = time.monotonic() + timeout_s
        last: dict[str, Any] = {}
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise BcmError(f"the daemon ended with code {self._process.returncode}:\n{self.log_tail()}")
            status = self.status()
            if status is not None:
                last = status
                if condition(status):
                    return status
            time.sleep(0.02)
        seen = f"{last.get('code')}: {last.get('sentence')}" if last else "it did not answer"
        raise BcmError(f"the daemon did not {what} within {timeout_s:g} s ({seen}):\n{self.log_tail()}")

    def status(self) -> dict[str, Any] | None:
        """Of the demo's service; None while the daemon does not answer."""
        try:
            answer = self.ask("GET", "/v1/status")
        except (OSError, http.client.HTTPException, ValueError):
            return None
        found = [s for s in answer.get("services", []) if s.get("name") == self._service]
        return found[0] if found else None

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises OSError while nobody listens, BcmError for an answer that says no."""
        connection = _UnixConnection(self.socket)
        try:
            payload = None if body is None else json.dumps(body)
            headers = {"Content-Type": "application/json"} if body is not None else {}
            if os.geteuid() == 0:
                headers["BCM-Person"] = self.person()
            connection.request(method, path, body=payload, headers=headers)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status >= 400:
            error = answer.get("error", {})
            raise BcmError(str(error.get("what", answer)), hint=str(error.get("hint") or ""))
        return answer

    def person(self) -> str:
        """Root acts for the one person of the demo's estate."""
        return invoking_user()

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as the service manager does it. Idempotent."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        processes.send([self._process.pid], number)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        try:
            return "\n".join(
                self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
            )
        except OSError:
            return "(no log)"


class DaemonProcess(Daemon):
    """Of the cluster of PostgreSQL: ready when its failover can be proven and the canary is acknowledged."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        profile: str = "balanced",
        mode: str = "act",
        endpoint: Mapping[str, Any] | None = None,
    ) -> None:
        def estate(state_dir: Path, socket: Path) -> str:
            return demo_estate(
                cluster,
                state_dir=state_dir,
                socket=socket,
                profile=profile,
                mode=mode,
                endpoint=endpoint,
            )

        super().__init__(cluster.base, SERVICE, estate, _healthy)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(10)
        self.sock.connect(str(self._path))


def _healthy(status: dict[str, Any]) -> bool:
    """Ready to lose its primary: healthy, provable, and the canary is written."""
    asynchronous = not any(status.get("settings") or [""])
    return (
        status.get("health") == "up"
        and status.get("last_acked_canary") is not None
        and (asynchronous or str(status.get("tolerance", "")).startswith("survives"))
        and all(m.get("health") == "up" for m in status.get("members", []))
    )
