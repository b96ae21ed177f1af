"""A disaster is declared on real servers: a yes of a person moves them, and all of it is in the journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate, invoking_user

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[2]


class Ops:
    """A daemon in mode `act` and a person at its command line."""

    def __init__(self, cluster: Cluster, path: Path) -> None:
        self.cluster, self.state_dir, self._socket = cluster, path / "state", path / "s"
        estate = path / "estate.yaml"
        estate.write_text(demo_estate(cluster, state_dir=self.state_dir, socket=self._socket))
        log = (path / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "controller.cli.main", "run", "-c", str(estate)],
            cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ),
        )  # fmt: skip
        log.close()

    def say(self, *arguments: str) -> Any:
        """What a command answers, as data; None while nobody answers."""
        options = ["--socket", str(self._socket), "--state-dir", str(self.state_dir)]
        command = [sys.executable, "-m", "controller.cli.main", *options, "--person", invoking_user()]
        done = subprocess.run(
            [*command, *arguments, "-o", "json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return json.loads(done.stdout) if done.returncode == 0 else None

    def until(self, look: Callable[[], Any], within_s: float = 40.0) -> Any:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if (found := look()) is not None and found is not False:
                return found
        raise AssertionError("in vain")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(40)


@pytest.fixture
def ops(shared_cluster: Cluster, tmp_path: Path) -> Iterator[Ops]:
    made = Ops(shared_cluster, tmp_path)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.stop()


def test_a_yes_moves_the_service_and_the_plan_is_there_with_the_daemon_dead(ops: Ops) -> None:
    def healthy() -> bool:
        answer = ops.say("explain", SERVICE)
        return answer is not None and answer["diagnosis"]["code"] == "Healthy"

    ops.until(healthy)
    declared = ops.say(
        "incident", "declare", "--tier", "natural", "--scope", f"service:{SERVICE}",
        "--reason", "the river rises", "--yes",
    )  # fmt: skip
    [step] = declared["plan"]["steps"]
    assert (step["from"], step["obstacles"]) == ("pg1", [])
    incident = declared["incident"]

    def state() -> dict[str, Any]:
        plan = ops.say("incident", "plan", incident)
        return plan["steps"][0]  # type: ignore[no-any-return]

    asked = ops.until(lambda: found if (found := state())["state"] == "asked" else None)
    assert asked["primary"] == "pg1"
    assert ops.say("approve", asked["approval"]) is not None
    moved = ops.until(lambda: found if (found := state())["state"] == "done" else None)
    assert moved["primary"] == step["to"]

    def recovered() -> bool:
        """The move has an incident of its own, which is a part of it and ends by itself."""
        return all(i["id"] == incident for i in ops.say("status")["incidents_open"])

    ops.until(recovered)
    assert ops.say("incident", "close", incident, "--reason", "the water has fallen")["plan"] == "done"
    report = ops.say("incident", "report", incident, "--format", "json")
    assert [part["service"] for part in report["parts"]] == [SERVICE]
    assert "switchover" in json.dumps(report["timeline"])
    ops.stop()
    plan = ops.say("incident", "plan", incident)
    assert (plan["state"], plan["open"]) == ("done", False)
    assert ops.say("journal", "verify") is not None
