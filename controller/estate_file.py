"""The estate file with everything that can be checked in it, also what only the probe types know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from config.document import Document
from config.document import Path as Place
from config.findings import Finding
from config.loader import Examined, LoadedEstate, examine, load_estate
from config.modules import ProbeModule
from config.positions import load_yaml
from config.report import check_report
from config.validation import findings_of
from controller.probe_modules import module_problem
from model.errors import UsageError
from probes.registry import load_probe_type


def load(path: Path | str) -> LoadedEstate:
    """Raises EstateError with all problems, each as `file:line:col: …`."""
    return load_estate(path, probe_findings)


def examined(path: Path | str) -> Examined:
    """What `check -o json` says."""
    return examine(load_yaml(path), probe_findings)


def report(path: Path | str) -> tuple[int, list[str]]:
    """(exit code, lines) of `check`."""
    return check_report(path, probe_findings)


def probe_findings(document: Document) -> Iterator[Finding]:
    """Types of declared probes that there are not, and options that a type does not take."""
    for name, entry in document.mapping("probes").items():
        kind = entry.get("type") if isinstance(entry, dict) else None
        if not isinstance(kind, str):
            continue  # the schema says so
        place: Place = ("probes", name, "type")
        try:
            options = load_probe_type(kind).Options
        except UsageError as error:
            yield document.error(place, error.what, "", error.hint or "")
            continue
        given = entry.get("options", {})
        if not isinstance(given, dict):
            continue
        try:
            options.model_validate(given)
        except ValidationError as error:
            yield from findings_of(error, document, model=options, at=("probes", name, "options"))
    yield from _module_findings(document)


def _module_findings(document: Document) -> Iterator[Finding]:
    patterns = [p for p in document.items("daemon", "probe_endpoint") if isinstance(p, str)]
    for name, entry in document.mapping("probe_modules").items():
        try:
            module = ProbeModule.model_validate(entry)
        except ValidationError:
            continue  # the schema says so
        problem = module_problem(module, patterns)
        if problem is not None:
            yield document.error(("probe_modules", name), problem, key=True)
