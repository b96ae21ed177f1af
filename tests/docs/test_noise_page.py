"""docs/noise-model.md says what the model says."""

from __future__ import annotations

from controller.report.noise_page import MEASURED, PAGE, noise_page


def test_the_page_is_current() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text[: text.index(MEASURED)] == f"{noise_page()}\n", "run `python -m controller.report.noise_page`"


def test_what_was_measured_names_its_command() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "bcm-failover simulate --noise" in text[text.index(MEASURED) :]
