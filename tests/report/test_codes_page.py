"""docs/diagnosis.md is printed from the table that the product uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.codes import CODES
from controller.report.codes_page import codes_page
from model.diagnosis import CodeInfo, Stance

PAGE = Path(__file__).parents[2] / "docs" / "diagnosis.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == codes_page(), (
        "run `python -m controller.report.codes_page > docs/diagnosis.md`"
    )


@pytest.mark.parametrize("info", CODES.values(), ids=lambda i: i.code)
def test_every_code_has_a_sentence_in_both_languages(info: CodeInfo) -> None:
    assert re.fullmatch(r"[A-Z].*\.", info.sentence)
    assert re.search(r"[\u4e00-\u9fff].*。$", info.sentence_zh)
    assert info.level in (None, "III", "II", "I")


@pytest.mark.parametrize("info", CODES.values(), ids=lambda i: i.code)
def test_a_code_that_acts_says_with_which_runbook(info: CodeInfo) -> None:
    if info.stance in (Stance.ACT, Stance.CONFIRM):
        assert info.remedy
    if info.stance is Stance.ACT:
        assert info.level, "what is switched over is an incident"
    if info.stance is Stance.CONFIRM:
        assert info.confirm_with
