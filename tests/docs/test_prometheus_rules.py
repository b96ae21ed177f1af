"""The shipped alert rules: promtool accepts them, they fire when they should, and name real metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = ROOT / "examples" / "prometheus" / "bcm-failover.rules.yml"
TESTS = RULES.with_name("bcm-failover.rules.test.yml")
PAGE = ROOT / "docs" / "operations" / "monitoring.md"
METRIC = re.compile(r"\bbcm_[a-z_]+\b")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("arguments", [["check", "rules", RULES.name], ["test", "rules", TESTS.name]])
def test_promtool_accepts_the_rules_and_they_fire_when_they_should(arguments: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_a_rule_is_explained_on_the_page() -> None:
    """The page's table is held to the metrics by tests/metrics."""
    used = set(METRIC.findall(RULES.read_text(encoding="utf-8")))
    assert used
    assert used <= set(METRIC.findall(PAGE.read_text(encoding="utf-8")))
