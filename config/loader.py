"""The estate file → Estate, or every problem in it at once, each at its place."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from config import document as documents
from config.checks import estate_warnings
from config.document import Document
from config.engine_checks import engine_findings
from config.engines import class_of, member_class
from config.findings import Finding, Severity, in_order
from config.inline_secrets import inline_secret_findings, inline_secret_texts
from config.member_checks import member_findings
from config.positions import load_yaml
from config.references import reference_findings
from config.replication_checks import replication_findings
from config.schema import (
    KEYED_SECTIONS,
    Estate,
    Node,
    Observer,
    Person,
    ProbeEntry,
    ProbeModule,
    Service,
    Site,
)
from config.validation import findings_of, public_fields, unknown_key
from model.errors import EstateError

# A check of a document that needs more than this room knows, as of the options of probe types.
FurtherCheck = Callable[[Document], Iterable[Finding]]

_MODELS: dict[str, type[BaseModel]] = {
    "sites": Site,
    "nodes": Node,
    "people": Person,
    "observers": Observer,
    "services": Service,
    "probes": ProbeEntry,
    "probe_modules": ProbeModule,
}


@dataclass(frozen=True, slots=True)
class LoadedEstate:
    """digest: SHA-256 (hex) of the file's bytes; `sha256sum` gives the same."""

    estate: Estate
    digest: str
    path: Path
    warnings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Examined:
    """What `check` sees. `estate` is None where there is an error."""

    estate: Estate | None
    digest: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)


def load_estate(path: Path | str, *further: FurtherCheck) -> LoadedEstate:
    """Raises EstateError with all problems, each as `file:line:col: …`. No secret is ever repeated."""
    path = Path(path)
    with collector_paused():
        examined = examine(load_yaml(path), *further)
    errors = examined.errors
    if examined.estate is None:
        count = f"{len(errors)} problems" if len(errors) != 1 else "1 problem"
        raise EstateError(
            f"the estate can't be used: {count}",
            problems=tuple(map(str, errors)),
            where=str(path),
            hint=f"mend what is listed, then: bcm-failover check {path}",
        )
    return LoadedEstate(examined.estate, examined.digest, path, examined.findings)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Reading makes millions of objects and hardly any rubbish in circles; the collector would look at all of
    them again and again, which is half of the time that a large estate takes."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def examine(document: Document, *further: FurtherCheck) -> Examined:
    """Every check of the estate in `document`, and `further` ones. Never raises for what stands there."""
    findings = list(document.findings)
    if not isinstance(document.data, dict):
        if not findings:
            findings.append(document.error((), "the file is not a mapping", "", "configVersion: 1, …"))
        return Examined(None, document.digest, in_order(findings))
    strays = list(_stray_names(document))
    findings += strays
    known_places = {(f.line, f.col) for f in findings}
    estate, invalid = _validate(_without_names(document.data) if strays else document.data, document)
    # A value that is wrong as YAML needs no second message from what it was read as.
    findings += [f for f in invalid if (f.line, f.col) not in known_places]
    findings += reference_findings(document)
    findings += replication_findings(document)
    findings += member_findings(document)
    findings += engine_findings(document)
    findings += [finding for check in further for finding in check(document)]
    findings = _without_secrets(document, findings)
    if any(f.severity is Severity.ERROR for f in findings):
        return Examined(None, document.digest, in_order(findings))
    assert estate is not None  # noqa: S101 - pydantic gave no error
    return Examined(estate, document.digest, in_order([*findings, *estate_warnings(estate, document)]))


def _validate(data: Any, document: Document) -> tuple[Estate | None, list[Finding]]:
    try:
        return Estate.model_validate(data), []
    except ValidationError as error:
        return None, findings_of(error, document, model=Estate)


def _without_secrets(document: Document, findings: list[Finding]) -> list[Finding]:
    """Refuse secrets that stand in the file, and take their text out of whatever else was said."""
    suspects = inline_secret_texts(document)
    refused = list(inline_secret_findings(document, suspects))
    texts = sorted(suspects, key=len, reverse=True)
    places = {(f.line, f.col) for f in refused}
    kept = [f for f in findings if (f.line, f.col) not in places]
    return refused + [_scrubbed(f, texts) for f in kept]


def _scrubbed(finding: Finding, texts: list[str]) -> Finding:
    what, why, allowed = finding.what, finding.why, finding.allowed
    for text in texts:
        for form in (repr(text), text):
            what, why, allowed = (part.replace(form, "(not shown)") for part in (what, why, allowed))
    return dataclasses.replace(finding, what=what, why=why, allowed=allowed)


def _keyed_entries(data: Mapping[str, Any]) -> Iterator[tuple[documents.Path, dict[str, Any], str]]:
    """(path, entry, the field that it takes from its key) of everything that is named by its key."""
    for section, field in KEYED_SECTIONS.items():
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict):
                yield (section, name), entry, field
    services = data.get("services")
    for service, entry in services.items() if isinstance(services, dict) else ():
        members = entry.get("members") if isinstance(entry, dict) else None
        for name, member in members.items() if isinstance(members, dict) else ():
            if isinstance(member, dict):
                yield ("services", service, "members", name), member, "name"


def _stray_names(document: Document) -> Iterator[Finding]:
    """`name:` in an entry whose name is its key, and `config_version`: for the code, not for a file."""
    for path, entry, field in _keyed_entries(document.data):
        if field in entry:
            found = unknown_key(document, (*path, field), list(public_fields(_model_at(document, path))))
            yield dataclasses.replace(found, why=f"the {field} is the key: {path[-1]!r}")
    if "config_version" in document.data:
        yield unknown_key(document, ("config_version",), list(public_fields(Estate)))


def _model_at(document: Document, path: documents.Path) -> type[BaseModel]:
    """Of an entry that is named by its key."""
    if path[0] != "services":
        return _MODELS[str(path[0])]
    service = class_of(document.at(path[:2]))
    return service if len(path) == 2 else member_class(service)


def _without_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy for validation: what `_stray_names` has reported is left out."""
    copy: dict[str, Any] = _copied(data)
    copy.pop("config_version", None)
    for _path, entry, field in _keyed_entries(copy):
        entry.pop(field, None)
    return copy


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
