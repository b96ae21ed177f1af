"""What a tour of the demo counts, and what it takes for good."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from controller.demo.command import demo
from controller.demo.tour import HappeningResult, figures, table
from controller.demo.tours import good
from controller.demo.verdict import ClientVerdict, Gap


def result(
    name: str = "crash", *, lost: int = 0, verdict: str = "UNPROVEN", gap_ms: int = 1500
) -> HappeningResult:
    gap = Gap(0, gap_ms * 1_000_000, open=False)
    return HappeningResult(name, ClientVerdict(100, lost, 0, gap, {}), 1.6, verdict, "why", "INC-1")


@pytest.mark.parametrize(
    ("seen", "is_good"),
    [
        (result(), True),
        (result(verdict="ZERO_PROVEN"), True),
        (result(verdict="LOSS"), False),
        (result(lost=1), True),
        (result(lost=1, verdict="LOSS"), True),
        (result(lost=1, verdict="ZERO_PROVEN"), False),
        (result("switchover", lost=1), False),
        (result(verdict="None"), False),
    ],
)
def test_a_verdict_must_fit_what_the_client_counted(seen: HappeningResult, is_good: bool) -> None:
    assert good(seen, frozenset({"crash"})) is is_good


def test_what_is_called_alike_is_one_row() -> None:
    results = [result(gap_ms=1000), result("switchover", verdict="ZERO_PROVEN"), result(gap_ms=2000, lost=3)]
    head, crash, switchover = table(results)
    assert "lost of acknowledged" in head
    assert crash.split() == ["crash", "2", "1.500,", "2.000", "3", "of", "200", "UNPROVEN"]
    assert "ZERO_PROVEN" in switchover
    assert figures(results)["crash"]["gap_s"] == {"median": 1.5, "worst": 2.0}


def test_an_option_that_has_no_effect_is_refused() -> None:
    said = CliRunner().invoke(demo, ["--engine", "redis", "--fault", "hang"])
    assert said.exit_code != 0
    assert "leave it out for redis" in f"{said.output}{said.exception}"
