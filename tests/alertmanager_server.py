"""A real Alertmanager on a free port of loopback, for tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pg_pair import free_port

START_S = 30.0


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


@contextmanager
def running_alertmanager(root: Path, webhook: str = "http://127.0.0.1:9/") -> Iterator[str]:
    """Its URL. It tells `webhook` at once. Skips the test where none is installed."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed (Debian: prometheus-alertmanager)")
    route = {
        "receiver": "people",
        "group_by": ["incident"],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    receivers = [{"name": "people", "webhook_configs": [{"url": webhook, "send_resolved": True}]}]
    config = root / "alertmanager.yml"
    config.write_text(json.dumps({"route": route, "receivers": receivers}))
    port = free_port()
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={root / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                get(f"{url}/api/v2/status")
                break
            except OSError:
                assert process.poll() is None, "Alertmanager ended"
                assert time.monotonic() < deadline_s
                time.sleep(0.01)
        yield url
    finally:
        process.kill()
        process.wait()
