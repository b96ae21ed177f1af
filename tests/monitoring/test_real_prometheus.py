"""The monitoring that users already have, for real: Prometheus, its rules and Alertmanager beside the daemon.

A rule fires, Alertmanager pushes, `explain` shows it as evidence; and Prometheus scrapes the daemon, finds
the estate's targets there, and asks `/probe` as it asks blackbox_exporter.
"""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli.main import main
from tests.pg_pair import free_port, wait_for

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"
TOKEN = "pushed-for-tests"
WITHIN_S = 60.0
SUMMARY = "nobody can pay <b>\x1b[2J{{ .x }}"


class Shop:
    """A user's own metric, which a rule looks at."""

    def __init__(self) -> None:
        self.down = 1
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"shop_down {shop.down}\n".encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Stage:
    shop: Shop
    daemon_port: int
    prometheus_port: int
    root: Path
    capsys: pytest.CaptureFixture[str]

    def bcm(self, *arguments: str) -> str:
        self.capsys.readouterr()
        options = [
            "--socket",
            str(self.root / "s"),
            "--state-dir",
            str(self.root / "state"),
            "--person",
            "wang",
        ]
        code = main([*options, *arguments])
        said = self.capsys.readouterr()
        assert code == 0, said.err
        return said.out

    def explained(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.bcm("-o", "json", "explain", "orders"))
        return found

    def ask_prometheus(self, path: str, **query: str) -> Any:
        url = f"http://{LOOPBACK}:{self.prometheus_port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        return get(url)["data"]

    def value(self, query: str) -> float | None:
        result = self.ask_prometheus("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


def push(port: int, name: str, status: str) -> None:
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{port}/api/v1/heartbeat/{name}",
        data=json.dumps({"status": status}).encode(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@contextmanager
def program(ready: str, log: Path, *argv: str | Path) -> Iterator[None]:
    """Runs until the end of the block; it is there when `ready` answers."""
    with log.open("wb") as file:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=ROOT)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(ready, timeout=5):
                return True
        except OSError:
            return False

    try:
        wait_for(answers, ready)
        yield
    finally:
        process.terminate()
        process.wait(30)


def write_estate(root: Path, port: int) -> Path:
    roles = {role: {"user": role} for role in ("monitor", "control", "replication")}
    member = {"data_dir": "/d", "bin_dir": "/usr/bin", "control": "pg_ctl"}
    rules = [
        {"match": {"alertname": "ShopDown"}, "service": "orders", "says": "down"},
        {"match": {"alertname": "Watchdog"}, "says": "ignore"},
    ]
    (root / "token").write_text(TOKEN)
    (root / "token").chmod(0o600)
    estate = {
        "configVersion": 1,
        "daemon": {
            "state_dir": str(root / "state"),
            "socket": str(root / "s"),
            "http": f"{LOOPBACK}:{port}",
            "push_token": {"file": str(root / "token")},
            "probe_endpoint": ["127.0.0.0/8"],
        },
        "sites": {"dc1": {"role": "primary"}},
        "nodes": {
            "db1": {"site": "dc1", "address": LOOPBACK},
            "db2": {"site": "dc1", "address": "127.0.0.2"},
        },
        "people": {"wang": {"name": "Wang", "os_users": ["wang"]}},
        "services": {
            "orders": {
                "engine": "postgresql",
                "mode": "act",
                "postgresql": {"roles": roles, "synchronous_standby_names": "ANY 1 (pg2)"},
                "members": {
                    "pg1": {"node": "db1", "role": "primary", "port": free_port(), **member},
                    "pg2": {"node": "db2", "role": "standby", "port": free_port(), **member},
                },
            }
        },
        "probes": {
            "web": {"type": "tcp", "service": "orders", "options": {"host": LOOPBACK, "port": port}},
            "backup": {"type": "heartbeat", "interval": "0.2s", "options": {"within": "1h"}},
        },
        "alerts": {"rules": rules},
    }
    file = root / "estate.yaml"
    file.write_text(yaml.safe_dump(estate))
    return file


def write_alertmanager(root: Path, daemon_port: int) -> Path:
    webhook = {
        "url": f"http://{LOOPBACK}:{daemon_port}/api/v1/alerts",
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(root / "token")}},
    }
    route = {"receiver": "bcm", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"}
    file = root / "alertmanager.yml"
    file.write_text(
        yaml.safe_dump({"route": route, "receivers": [{"name": "bcm", "webhook_configs": [webhook]}]})
    )
    return file


def write_prometheus(root: Path, daemon_port: int, alertmanager_port: int, shop_port: int) -> Path:
    def alert(name: str, expression: str, **annotations: str) -> dict[str, Any]:
        labels = {"service": "orders"}
        return {"alert": name, "expr": expression, "labels": labels, "annotations": annotations}

    rules = [
        alert("ShopDown", "shop_down == 1", summary=SUMMARY.replace("{{ .x }}", "{{ `{{ .x }}` }}")),
        alert("DiskSlow", "vector(1)", summary="a disk of orders is slow"),
        alert("Watchdog", "vector(1)"),
    ]
    (root / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "shop", "rules": rules}]}))
    daemon = f"{LOOPBACK}:{daemon_port}"
    probing = [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": daemon},
    ]
    scrape = [
        {"job_name": "shop", "static_configs": [{"targets": [f"{LOOPBACK}:{shop_port}"]}]},
        {"job_name": "bcm", "static_configs": [{"targets": [daemon]}]},
        {
            "job_name": "members",
            "metrics_path": "/probe",
            "params": {"module": ["tcp_connect"]},
            "http_sd_configs": [{"url": f"http://{daemon}/http_sd?kind=member", "refresh_interval": "1s"}],
            "relabel_configs": [
                *probing,
                {"source_labels": ["__meta_bcm_service"], "target_label": "service"},
                {"source_labels": ["__meta_bcm_member"], "target_label": "member"},
            ],
        },
    ]
    alertmanagers = [{"static_configs": [{"targets": [f"{LOOPBACK}:{alertmanager_port}"]}]}]
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(root / "rules.yml")],
        "alerting": {"alertmanagers": alertmanagers},
        "scrape_configs": scrape,
    }
    file = root / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture
def stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    programs = {name: shutil.which(name) for name in ("prometheus", "prometheus-alertmanager")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        pytest.skip(f"not installed (Debian packages of these names): {', '.join(missing)}")
    daemon_port, prometheus_port, alertmanager_port = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        shop = Shop()
        stack.callback(shop.close)
        stack.enter_context(
            program(
                f"http://{LOOPBACK}:{daemon_port}/healthz", tmp_path / "bcm.log",
                sys.executable, "-m", "controller.cli.main",
                "run", "-c", write_estate(tmp_path, daemon_port),
            )
        )  # fmt: skip
        stack.enter_context(
            program(
                f"http://{LOOPBACK}:{alertmanager_port}/-/ready", tmp_path / "alertmanager.log",
                "prometheus-alertmanager", "--cluster.listen-address=",
                f"--config.file={write_alertmanager(tmp_path, daemon_port)}",
                f"--storage.path={tmp_path}/alertmanager",
                f"--web.listen-address={LOOPBACK}:{alertmanager_port}",
            )
        )  # fmt: skip
        config = write_prometheus(tmp_path, daemon_port, alertmanager_port, shop.port)
        stack.enter_context(
            program(
                f"http://{LOOPBACK}:{prometheus_port}/-/ready", tmp_path / "prometheus.log",
                "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address={LOOPBACK}:{prometheus_port}", "--rules.alert.resend-delay=1s",
            )
        )  # fmt: skip
        yield Stage(shop, daemon_port, prometheus_port, tmp_path, capsys)


def alerts_in(evidence: list[str]) -> list[str]:
    return [text for text in evidence if text.startswith("alert ")]


def test_a_rule_fires_and_explain_shows_it_and_prometheus_sees_the_estate(stage: Stage) -> None:
    def evidence() -> list[str]:
        diagnosis = stage.explained()["diagnosis"]
        return alerts_in([*diagnosis["evidence_for"], *diagnosis["evidence_against"]])

    (said,) = wait_for(evidence, "the alert as evidence", WITHIN_S)
    assert said.startswith("alert ShopDown says that it is down, since ")
    assert said.endswith("nobody can pay <b>[2J{{ .x }}")
    printed = stage.bcm("explain", "orders")
    assert "alert ShopDown says that it is down" in printed
    assert "\x1b" not in printed

    (warning,) = wait_for(lambda: stage.explained()["warnings"], "the early warning", WITHIN_S)
    assert (warning["code"], warning["source"]) == ("DiskSlow", "alertmanager")
    assert "DiskSlow (service/orders, says alertmanager): a disk of orders is slow" in stage.bcm("status")

    wait_for(lambda: stage.value("bcm_build_info") == 1, "the daemon's own metrics", WITHIN_S)
    wait_for(
        lambda: stage.value('bcm_alerts_firing{service="orders",says="down"}') == 1, "their number", WITHIN_S
    )
    wait_for(
        lambda: stage.value('probe_success{service="orders",member="pg2"}') == 0, "members, probed", WITHIN_S
    )
    discovered = [t["discoveredLabels"] for t in stage.ask_prometheus("targets")["activeTargets"]]
    (pg1,) = [labels for labels in discovered if labels.get("__meta_bcm_member") == "pg1"]
    assert pg1["__meta_bcm_role"] == "primary"
    assert pg1["__meta_bcm_site"] == "dc1"
    assert pg1["__meta_bcm_engine"] == "postgresql"

    push(stage.daemon_port, "backup", "fail")
    wait_for(
        lambda: stage.value('bcm_probe_up{probe="backup",type="heartbeat"}') == 0,
        "a job that failed",
        WITHIN_S,
    )
    assert "backup says: fail" in stage.bcm("status")

    stage.shop.down = 0
    wait_for(lambda: not evidence(), "the end of the alert", WITHIN_S)
    # It says so to people who look later, and whatever it said moved nothing by itself.

    def records() -> list[dict[str, Any]]:
        return [json.loads(line) for line in stage.bcm("journal", "export").splitlines()]

    def about() -> set[tuple[str, str]]:
        return {(r["type"], r["data"]["name"]) for r in records() if r["type"].startswith("alert.")}

    wait_for(lambda: ("alert.resolved", "ShopDown") in about(), "the record of its end", WITHIN_S)
    assert ("alert.received", "ShopDown") in about()
    assert not any(name == "Watchdog" for _type, name in about())
    assert not any(r["type"] == "execution.opened" for r in records())
