"""Every situation of tests/core/situations: observations in; code, decision and gate out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from situation_player import ORIGIN_S, Judged, Situation, load

from config.durations import parse_duration_s
from config.levels import Levels
from config.services import Importance
from controller.codes import CODES
from controller.levels import raised, scope_of
from model.level import LEVELS

SITUATIONS = sorted((Path(__file__).parent / "situations").glob("*.yaml"))
# Codes for which no situation can be told: none.
_KEYS = frozenset(
    {"at", "code", "member", "confirmed", "level", "verb", "runbook", "candidate", "gate", "would", "t0"}
    | {"first_bad", "vetoes", "around", "against", "reason", "votes", "lasts", "was", "grown"}
)


# Expected, and compared in a way of their own.
_BESIDE = ("at", "vetoes", "around", "against", "reason", "votes", "lasts", "was", "grown")


def _said(judged: Judged, key: str) -> Any:
    diagnosis, decision = judged.diagnosis, judged.decision
    match key:
        case "code":
            return diagnosis.code
        case "member":
            return diagnosis.member
        case "confirmed":
            return diagnosis.confirmed
        case "level":
            return diagnosis.info.level
        case "verb":
            return decision.verb.value
        case "runbook":
            return decision.runbook
        case "candidate":
            return decision.candidate
        case "gate":
            return decision.stopped_by
        case "would":
            return decision.would
        case "t0":
            return _since_origin(diagnosis.last_good_s)
        case "first_bad":
            return _since_origin(diagnosis.first_bad_s)
    raise KeyError(key)


def _since_origin(at_s: float | None) -> float | None:
    return None if at_s is None else round(at_s - ORIGIN_S, 3)


def _check(expected: Mapping[str, Any], judged: Judged) -> None:
    assert set(expected) <= _KEYS, f"unknown keys {set(expected) - _KEYS}"
    plain = {k: v for k, v in expected.items() if k not in _BESIDE}
    # Whoever does not say otherwise means a diagnosis that is settled.
    plain.setdefault("confirmed", expected.get("code") != "PrimarySuspect")
    said = {key: _said(judged, key) for key in plain}
    evidence = "; ".join(e.text for e in judged.diagnosis.evidence)
    assert said == plain, f"at {expected['at']}: {evidence}"
    if "against" in expected:
        against = "; ".join(e.text for e in judged.diagnosis.evidence if not e.supports)
        assert expected["against"] in against
    if "votes" in expected:
        inputs = next(g.inputs for g in judged.decision.gates if g.name == "observers")
        assert {how: inputs[how] for how in expected["votes"]} == expected["votes"], evidence
    if "grown" in expected:
        assert _grown(expected, judged) == expected["grown"]
    if "reason" in expected:
        assert expected["reason"] in judged.decision.reason


def _grown(expected: Mapping[str, Any], judged: Judged) -> str:
    """The incident's level once the outage has lasted for `lasts`, by the rules that the product comes with.
    was: its level until then, where it is not the one that the diagnosis begins with."""
    info = judged.diagnosis.info
    importance = Importance(expected.get("around", {}).get("importance", {}).get("orders", "normal"))
    level = expected.get("was") or info.level or LEVELS[0]
    scope = scope_of(info.code, judged.diagnosis.root)
    found = raised(Levels(), level, scope, importance, parse_duration_s(expected["lasts"]))
    return level if found is None else found[0]


@pytest.mark.parametrize("path", SITUATIONS, ids=lambda p: p.stem)
def test_situation(path: Path) -> None:
    assert load(path)["what"], "a situation says what happens"
    for expected, judged in judged_of(path):
        _check(expected, judged)


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


def test_there_are_enough_situations() -> None:
    assert len(SITUATIONS) >= 40
