"""Every situation of tests/situations/estates: observations of a whole estate in, roots out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from estate_player import EstatePlayer
from situation_player import load

SITUATIONS = sorted((Path(__file__).parents[1] / "situations" / "estates").glob("*.yaml"))
# A part of the text is enough.
_TEXTS = ("evidence", "against")


def _check(said: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for key in _TEXTS:
        assert expected.get(key, "") in said[key]
    plain = {k: v for k, v in expected.items() if k not in _TEXTS}
    assert {k: said[k] for k in plain} == plain, said


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda p: p.stem)
def test_estate_situation(path: Path) -> None:
    described = load(path)
    assert described["what"], "a situation says what happens"
    player = EstatePlayer(described)
    for expected in described["expect"]:
        player.play(expected["at"])
        roots = player.roots()
        assert set(roots) == set(expected.get("roots", roots)), roots
        for key, wanted in expected.get("roots", {}).items():
            _check(roots[key], wanted)
        for name, wanted in expected.get("services", {}).items():
            _check(player.service(name), wanted)


def test_there_are_enough_situations_of_estates() -> None:
    assert len(SITUATIONS) >= 15
