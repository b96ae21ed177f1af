"""A real Prometheus on loopback, behind TLS and a password, with samples that it had stored, for tests."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.pg_pair import free_port, wait_for

LOOPBACK = "127.0.0.1"
USER, PASSWORD = "watcher", "correct horse"

_WEB = """
tls_server_config: {{cert_file: {certificate}, key_file: {certificate}}}
basic_auth_users: {{{user}: "{hashed}"}}
"""
OLD_S = 120
_FOR_S = 300  # so long after its start there are fresh samples


def _metrics() -> str:
    """What it has stored when it starts: scraping would begin only 5 s later. The old one has one sample."""
    now_s = int(time.time())
    fresh = {
        'demo_value{instance="shop:80"}': "42.5",
        'demo_many{part="a"}': "1",
        'demo_many{part="b"}': "3",
        "demo_nan": "NaN",
        "demo_large": "9007199254740993",
        'up{job="shop"}': "1",
    }
    times = range(now_s - 30, now_s + _FOR_S, 5)
    lines = [f"{series} {value} {at_s}" for series, value in fresh.items() for at_s in times]
    return "\n".join([*lines, f"demo_old 7 {now_s - OLD_S}", "# EOF", ""])


class PrometheusServer:
    def __init__(self, root: Path, certificate: Path) -> None:
        self.port = free_port()
        self.url = f"https://{LOOPBACK}:{self.port}"
        self._root = root
        self._certificate = certificate
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config, web, metrics = (self._root / name for name in ("prometheus.yml", "web.yml", "metrics"))
        config.write_text("global: {}\n")
        metrics.write_text(_metrics())
        create: list[str | Path] = [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            metrics,
            self._root / "data",
        ]
        subprocess.run(create, check=True, capture_output=True, timeout=30)
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        web.write_text(_WEB.format(certificate=self._certificate, user=USER, hashed=hashed))
        log = self._root / "log"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={config}", f"--web.config.file={web}",
                 f"--web.listen-address={LOOPBACK}:{self.port}", f"--storage.tsdb.path={self._root}/data"],
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        try:
            wait_for(self._answers, "Prometheus answers")
        except AssertionError as exc:
            raise AssertionError(log.read_text()[-3000:]) from exc

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self._certificate))
        context.check_hostname = False
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{self.url}/api/v1/query?query=demo_old", headers={"Authorization": f"Basic {pair}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as response:
                return b'"7"' in response.read()
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_prometheus(root: Path, certificate: Path) -> Iterator[PrometheusServer]:
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    server = PrometheusServer(root, certificate)
    try:
        server.start()
        yield server
    finally:
        server.stop()
