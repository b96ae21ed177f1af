"""Compares what the core makes of a situation with what is expected there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.durations import parse_duration_s
from config.levels import Levels
from config.services import Importance
from controller.levels import raised, scope_of
from model.level import LEVELS
from tests.core.situation_player import ORIGIN_S, Judged, Situation

KEYS = frozenset(
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


def failures(described: Mapping[str, Any]) -> Iterator[str]:
    """What differs, a line each; none if all is as it is written down."""
    situation = Situation(described)
    for expected in described["expect"]:
        yield from differences(expected, situation.judge(expected))


def differences(expected: Mapping[str, Any], judged: Judged) -> Iterator[str]:
    """Of one moment."""
    evidence = "; ".join(e.text for e in judged.diagnosis.evidence)
    return (f"at {expected['at']}: {problem} ({evidence})" for problem in _problems(expected, judged))


def _problems(expected: Mapping[str, Any], judged: Judged) -> Iterator[str]:
    unknown = sorted(set(expected) - KEYS)
    if unknown:
        yield f"unknown keys {unknown}"
    plain = {k: v for k, v in expected.items() if k in KEYS and k not in _BESIDE}
    # Whoever does not say otherwise means a diagnosis that is settled.
    plain.setdefault("confirmed", expected.get("code") != "PrimarySuspect")
    for key, value in plain.items():
        said = _said(judged, key)
        if said != value:
            yield f"{key} is {said!r}, not {value!r}"
    against = "; ".join(e.text for e in judged.diagnosis.evidence if not e.supports)
    if expected.get("against", "") not in against:
        yield f"no evidence against it: {expected['against']}"
    inputs = next(g.inputs for g in judged.decision.gates if g.name == "observers")
    for how, who in expected.get("votes", {}).items():
        if inputs[how] != who:
            yield f"votes: {how} are {inputs[how]}, not {who}"
    if "grown" in expected and _grown(expected, judged) != expected["grown"]:
        yield f"its level grows to {_grown(expected, judged)}, not to {expected['grown']}"
    if expected.get("reason", "") not in judged.decision.reason:
        yield f"the reason is {judged.decision.reason!r}"


def _grown(expected: Mapping[str, Any], judged: Judged) -> str:
    """The incident's level once the outage has lasted for `lasts`, by the rules that the product comes with.
    was: its level until then, where it is not the one that the diagnosis begins with."""
    info = judged.diagnosis.info
    importance = Importance(expected.get("around", {}).get("importance", {}).get("orders", "normal"))
    level = expected.get("was") or info.level or LEVELS[0]
    scope = scope_of(info.code, judged.diagnosis.root)
    found = raised(Levels(), level, scope, importance, parse_duration_s(expected["lasts"]))
    return level if found is None else found[0]
