"""Every situation of tests/situations: observations in; code, decision and gate out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller.codes import CODES
from tests.core.situation_check import differences
from tests.core.situation_player import Judged, Situation, load

SITUATIONS = sorted((Path(__file__).parents[1] / "situations").glob("*.yaml"))


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda p: p.stem)
def test_situation(path: Path) -> None:
    assert load(path)["what"], "a situation says what happens"
    assert [text for pair in judged_of(path) for text in differences(*pair)] == []


@cache
def judged_of(path: Path) -> tuple[tuple[Mapping[str, Any], Judged], ...]:
    """Each of its expectations with what was made of that moment."""
    situation = Situation(load(path))
    return tuple((expected, situation.judge(expected)) for expected in situation.described["expect"])


def _expectations() -> list[Mapping[str, Any]]:
    return [expected for path in SITUATIONS for expected in load(path)["expect"]]


# Found beside the diagnosis, of any probe: tests/warnings has them.
BESIDE = {"BackupStale", "CanarySlow", "CertificateExpiring", "ClockSkew"}


def _of_estates() -> set[str]:
    """Codes of services and of roots in the situations of whole estates."""
    found = [e for p in (SITUATIONS[0].parent / "estates").glob("*.yaml") for e in load(p)["expect"]]
    told = [row for e in found for key in ("roots", "services") for row in e.get(key, {}).values()]
    return {row["code"] for row in told if "code" in row}


def test_every_code_has_a_situation() -> None:
    told = {expected.get("code") for expected in _expectations()} | BESIDE | _of_estates()
    assert set(CODES) - told == set()


def test_every_gate_stops_something_in_a_situation() -> None:
    gates = [g.name for g in Situation(load(SITUATIONS[0])).judge({"at": 0.0}).decision.gates]
    told = {expected.get("gate") for expected in _expectations()}
    assert set(gates) - told == set()


def test_every_situation_of_a_gate_shows_it_both_ways() -> None:
    """Where it looks around the service. What it looks at in the members differs from that of `crash`."""
    for path in SITUATIONS:
        if path.stem.startswith("gate-") and any("around" in e for e in load(path)["expect"]):
            stopped = [judged.decision.stopped_by for _expected, judged in judged_of(path)]
            assert len(set(stopped)) > 1, f"{path.stem}: add a line in which it lets pass"


def test_the_inputs_of_every_gate_have_the_same_keys_whatever_they_are() -> None:
    """Two decisions can be compared, and `explain` of the past shows what that of now does."""
    keys: dict[str, set[str]] = {}
    for path in SITUATIONS:
        for _expected, judged in judged_of(path):
            for gate in judged.decision.gates:
                assert gate.inputs, f"{gate.name} says nothing of what it looked at"
                assert keys.setdefault(gate.name, set(gate.inputs)) == set(gate.inputs), path.stem
