"""Scenarios as files that people read and write: faults in words, and, where it is no user's own, an estate.

title: dc1 loses power, and the standby's disk is slow
faults:
  - site:dc1 down at 3s
  - orders/pg2 slow-disk by 300ms at 4s for 10s
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from config.document import Document
from config.document import Path as Place
from config.durations import format_duration, parse_duration_s
from config.findings import Finding, did_you_mean, in_order
from config.loader import examine
from config.positions import load_yaml
from config.schema import Estate
from controller.simulate.faults import FaultEvent
from controller.simulate.network import Delays
from controller.simulate.phrases import parse, phrase
from controller.simulate.scene import Scenario
from controller.simulate.world import Traits
from model.errors import EstateError, UsageError

_TIMES: Final = ("far", "promote_late")
_FLAGS: Final = ("restarts_in_place", "rewind_fails")
KEYS: Final = ("title", "seed", "ops", *_TIMES, *_FLAGS, "faults", "estate")
_FAR: Final = "4ms"


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """What stands in a file. estate: None where it is for a user's own. ops: '' where it is not said."""

    document: Document
    title: str
    seed: str
    ops: str
    estate: Estate | None

    def scenario(self, estate: Estate, ops: str) -> Scenario:
        """On this estate. Raises EstateError with every problem as `file:line:col: …`."""
        findings: list[Finding] = []
        events: list[FaultEvent] = []
        for index, text in enumerate(self.document.items("faults")):
            try:
                events.append(parse(str(text), estate))
            except UsageError as error:
                findings.append(self.document.error(("faults", index), error.what, "", _allowed(error)))
        _refuse(self.document, findings)
        return Scenario(
            seed=self.seed,
            estate=estate,
            events=tuple(events),
            traits=Traits(
                delays=Delays(far_s=self._time("far", _FAR)),
                access=all(n.access != "none" for n in estate.nodes.values()),
                in_place=bool(self.document.at(("restarts_in_place",))),
            ),
            ops=ops,
            rewind_fails=bool(self.document.at(("rewind_fails",))),
            promote_late_s=self._time("promote_late", "0s"),
        )

    def _time(self, key: str, default: str) -> float:
        value = self.document.at((key,))
        return parse_duration_s(default if value is None else value)


def read_scenario(path: Path) -> ScenarioFile:
    """Raises EstateError with every problem as `file:line:col: …`, UsageError where there is no file."""
    if not path.exists():
        raise UsageError("there is no such file", where=str(path), hint="--scenario names a file of faults")
    document = load_yaml(path)
    _refuse(document, list(document.findings))
    if not isinstance(document.data, dict):
        _refuse(document, [document.error((), "the file is not a mapping", "", ", ".join(KEYS))])
    findings = list(_problems(document))
    estate = None
    if "estate" in document.data:
        examined = examine(_part(document, "estate"))
        estate = examined.estate
        findings += examined.errors
    _refuse(document, findings)
    data = document.data
    return ScenarioFile(
        document,
        title=str(data.get("title", "")),
        seed=str(data.get("seed", path.stem)),
        ops=str(data.get("ops", "")),
        estate=estate,
    )


def _problems(document: Document) -> list[Finding]:
    data: Mapping[str, Any] = document.data
    found = [
        document.error((key,), f"unknown key {key!r}", did_you_mean(key, KEYS), ", ".join(KEYS), key=True)
        for key in data
        if key not in KEYS
    ]
    for key in _TIMES:
        if key in data:
            try:
                parse_duration_s(data[key])
            except ValueError as error:
                found.append(document.error((key,), str(error)))
    found += [
        document.error((key,), f"{key} is no truth value", "", "true or false")
        for key in _FLAGS
        if key in data and not isinstance(data[key], bool)
    ]
    faults = data.get("faults")
    if not isinstance(faults, list) or not faults or not all(isinstance(f, str) for f in faults):
        place: Place = ("faults",) if "faults" in data else ()
        found.append(
            document.error(
                place, "`faults` is not a list of texts", "", "as `- site:dc1 down at 3s`, one or more"
            )
        )
    return found


def _part(document: Document, key: str) -> Document:
    """A part of a file as a document, whose values still know where they stand."""
    marks = {path[1:]: mark for path, mark in document.marks.items() if path[:1] == (key,)}
    return Document(document.file, document.data[key], marks, (), document.digest)


def _allowed(error: UsageError) -> str:
    return error.hint.removeprefix("allowed: ")


def _refuse(document: Document, findings: list[Finding]) -> None:
    if findings:
        count = f"{len(findings)} problems" if len(findings) != 1 else "1 problem"
        raise EstateError(
            f"the scenario can't be used: {count}",
            problems=tuple(map(str, in_order(findings))),
            where=document.file,
            hint="mend what is listed; docs/operations/simulate.md shows how a scenario is written",
        )


# --- writing


def scenario_yaml(scenario: Scenario, title: str) -> str:
    """With its estate, so that it can be replayed anywhere. `read_scenario` reads the same scenario."""
    head: dict[str, Any] = {"title": title, "seed": scenario.seed, "ops": scenario.ops}
    if scenario.traits.delays.far_s != parse_duration_s(_FAR):
        head["far"] = format_duration(scenario.traits.delays.far_s)
    if scenario.promote_late_s:
        head["promote_late"] = format_duration(scenario.promote_late_s)
    if scenario.traits.in_place:
        head["restarts_in_place"] = True
    if scenario.rewind_fails:
        head["rewind_fails"] = True
    head["faults"] = [phrase(event) for event in scenario.events]
    head["estate"] = estate_data(scenario.estate)
    return str(yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=110))


def estate_data(estate: Estate) -> dict[str, Any]:
    """What an estate's file would say: only what was set, durations with their unit."""
    dumped = estate.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data: dict[str, Any] = _written(dumped)
    return {key: value for key, value in data.items() if value not in ({}, [])}


def _written(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_written(item) for item in value]
    return format_duration(value) if isinstance(value, float) else value
