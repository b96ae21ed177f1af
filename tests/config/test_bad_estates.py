"""Each kind of mistake in an estate gives exactly the lines that bad_estates.txt states."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from estate_texts import VALID, lines_of, spoiled

SECRET = "hunter2"


@dataclass
class Mistake:
    name: str
    parts: dict[str, list[str]] = field(default_factory=lambda: {"-": [], "+": [], ">": []})

    def text(self, mark: str) -> str:
        return "\n".join(self.parts[mark]).replace("⏎", "\n")

    @property
    def spoiled(self) -> str:
        return spoiled(self.text("-"), self.text("+"))


def recorded() -> list[Mistake]:
    mistakes: list[Mistake] = []
    for line in Path(__file__).with_name("bad_estates.txt").read_text(encoding="utf-8").splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            mistakes.append(Mistake(rest))
        elif mark in ("-", "+", ">"):
            mistakes[-1].parts[mark].append(rest)
    return mistakes


MISTAKES = recorded()


@pytest.mark.parametrize("mistake", MISTAKES, ids=[m.name for m in MISTAKES])
def test_a_mistake_is_reported_where_it_stands(mistake: Mistake) -> None:
    lines = lines_of(mistake.spoiled)
    assert lines == mistake.parts[">"]
    assert any(": error: " in line for line in lines)
    assert not any(SECRET in line for line in lines)


def test_the_estate_that_is_spoiled_is_valid_itself() -> None:
    assert not [line for line in lines_of(VALID) if ": error:" in line]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = VALID
    some = ["port true", "site unknown", "no as bool", "mode misspelt", "cycle of itself", "sync star"]
    for mistake in MISTAKES:
        if mistake.name in some:
            text = spoiled(mistake.text("-"), mistake.text("+"), text)
    places = [line.split(": ")[0] for line in lines_of(text)]
    assert places == ["9:75", "11:15", "12:45", "22:18", "35:11", "42:34"]
