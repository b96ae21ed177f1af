"""Through a real Alertmanager to its receiver: what people get in the end."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.store.sqlite import SqliteStore
from tests.notify.conftest import MakePager, Receiver, until
from tests.virtual_clock import RealClock


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """Its URL; it notifies `receiver` at once."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed (Debian: prometheus-alertmanager)")
    config = tmp_path / "alertmanager.yml"
    route = {
        "receiver": "people",
        "group_by": ["incident"],
        "group_wait": "0s",
        "group_interval": "1s",
        "repeat_interval": "1h",
    }
    webhook = {"url": receiver.url, "send_resolved": True}
    config.write_text(
        json.dumps({"route": route, "receivers": [{"name": "people", "webhook_configs": [webhook]}]})
    )
    port = free_port()
    process = subprocess.Popen(
        [
            program,
            f"--config.file={config}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                get(f"{url}/api/v2/status")
                break
            except OSError:
                assert process.poll() is None, "Alertmanager ended"
                assert time.monotonic() < deadline
        yield url
    finally:
        process.kill()
        process.wait()


async def test_a_page_reaches_people_and_its_end_too(
    make_pager: MakePager, journal: SqliteStore, receiver: Receiver, alertmanager: str
) -> None:
    pager = make_pager(clock=RealClock(), alertmanager={"url": alertmanager, "labels": {"team": "dba"}})
    page = pager.page("page", "orders: 主库宕机, held", "gate rpo", service="orders", incident="INC-7")
    told = (await until(lambda: receiver.accepted, seconds=30))[0]
    assert told["status"] == "firing"
    (alert,) = told["alerts"]
    assert alert["labels"] == {
        "alertname": "BcmFailoverPage",
        "severity": "page",
        "service": "orders",
        "incident": "INC-7",
        "page": page,
        "team": "dba",
    }
    assert alert["annotations"] == {"summary": "orders: 主库宕机, held", "description": "gate rpo"}
    second = pager.page("page", "orders: failover failed", service="orders", incident="INC-7")
    await until(
        lambda: any(a["labels"]["page"] == second for body in receiver.accepted for a in body["alerts"]),
        seconds=30,
    )
    assert len(get(f"{alertmanager}/api/v2/alerts")) == 2
    pager.resolve("INC-7")
    ended = await until(
        lambda: [body for body in receiver.accepted if body["status"] == "resolved"], seconds=30
    )
    assert {a["labels"]["page"] for a in ended[-1]["alerts"]} == {page, second}
    assert get(f"{alertmanager}/api/v2/alerts") == []
