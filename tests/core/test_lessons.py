"""Situations are for people: readable, enough of them, and one at least for each lesson about judgement."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.core.situation_player import load
from tests.core.test_situations import SITUATIONS as OF_SERVICES

ROOT = Path(__file__).parents[2]
SITUATIONS = sorted(OF_SERVICES[0].parent.rglob("*.yaml"))
# A row of docs/lessons.md: the lesson's word, and what shows it.
_ROW = re.compile(r"\| `(?P<word>[a-z-]+)` \|.*\| (?P<shown>[^|]+) \|")


@cache
def lessons() -> dict[str, str]:
    text = (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8")
    return {m["word"]: m["shown"] for line in text.splitlines() for m in [_ROW.fullmatch(line)] if m}


def _told() -> set[str]:
    return {load(path)["lesson"] for path in SITUATIONS if "lesson" in load(path)}


def test_every_lesson_about_judgement_is_told_by_a_situation() -> None:
    assert len(lessons()) == 17
    assert {word for word, shown in lessons().items() if "situations" in shown} == _told()


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda p: p.stem)
def test_a_person_can_read_it(path: Path) -> None:
    """Its name and one sentence say what happens; each moment says what is made of it."""
    assert re.fullmatch(r"[a-z0-9-]+", path.stem)
    situation = load(path)
    assert 15 <= len(situation["what"]) <= 210
    assert "\n" not in situation["what"]
    assert not situation["what"].endswith(".")
    assert situation["expect"], "nothing is expected"
    assert all(_says_something(expected) for expected in situation["expect"])


def _says_something(expected: dict[str, Any]) -> bool:
    return "at" in expected and bool({"code", "verb", "gate", "grown", "roots", "services"} & set(expected))


def test_none_lies_where_nobody_plays_it() -> None:
    strays = [
        p for p in (ROOT / "tests" / "core").rglob("*.yaml") if "what:" in p.read_text(encoding="utf-8")
    ]
    assert strays == [], "situations are in tests/situations"


def test_there_are_enough_situations() -> None:
    assert len(SITUATIONS) >= 120
