"""Finds runbooks by name: a user's own directories first, then the library that is shipped in the package."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from config.document import Document
from config.findings import Finding, did_you_mean, in_order, one_of
from config.positions import findings_of, load_yaml
from model.errors import RunbookError
from runbooks.schema import Kind, Runbook

SHIPPED: Final = "shipped"
_SUFFIX: Final = ".yaml"


class RunbookFileError(RunbookError):
    """A file that is no runbook; `findings` says at which lines, and why."""

    def __init__(self, what: str, *, findings: Sequence[Finding], where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return "\n".join((*(str(f) for f in self.findings), super().__str__()))


@dataclass(frozen=True, slots=True)
class Listed:
    """One runbook of the list. `problem` says why it can't be used; then only name and origin are known."""

    name: str
    origin: str
    kind: Kind | None = None
    engine: str = ""
    description: str = ""
    digest: str = ""
    overrides: bool = False
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "origin": self.origin,
            "kind": self.kind.value if self.kind else None,
            "engine": self.engine,
            "description": self.description,
            "digest": self.digest,
            "overrides": self.overrides,
            "problem": self.problem,
        }


def load_runbook(name: str, extra_dirs: Sequence[Path] = ()) -> Runbook:
    """The runbook NAME.yaml of the first directory that has it, else the shipped one.

    Raises RunbookError if there is none, RunbookFileError if it is not valid.
    """
    for directory in extra_dirs:
        if (directory / f"{name}{_SUFFIX}").is_file():
            return load_runbook_file(directory / f"{name}{_SUFFIX}")
    shipped = _shipped()
    if name not in shipped:
        known = [*shipped, *(n for d in extra_dirs for n in _names(d))]
        raise RunbookError(
            f"there is no runbook {name!r}", hint=did_you_mean(name, known) or f"there are: {one_of(known)}"
        )
    return _checked(load_yaml(shipped[name], file=f"{SHIPPED}/{name}{_SUFFIX}"), name)


def load_runbook_file(path: Path) -> Runbook:
    """A runbook from a file, which must bear its name. Raises RunbookFileError."""
    return _checked(load_yaml(path), path.stem)


def runbook_text(name: str, extra_dirs: Sequence[Path] = ()) -> str:
    """The file as it stands, for `runbook show`. Raises RunbookError."""
    for directory in extra_dirs:
        path = directory / f"{name}{_SUFFIX}"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    load_runbook(name)
    return _shipped()[name]


def copy_of(name: str, new_name: str, extra_dirs: Sequence[Path] = ()) -> str:
    """The text of a runbook under another name, or the same; comments stay. Raises RunbookError."""
    text = runbook_text(name, extra_dirs)
    if new_name == name:
        return text
    copied, found = re.subn(rf"(?m)^name:\s*{re.escape(name)}\s*$", f"name: {new_name}", text, count=1)
    if not found:
        raise RunbookError(f"{name} does not say its name on a line of its own", hint="copy it by hand")
    return copied


def list_runbooks(extra_dirs: Sequence[Path] = ()) -> list[Listed]:
    """All that can be named, by name; one that is not valid is listed with its problem."""
    found: dict[str, Listed] = {}
    for directory in extra_dirs:
        for name in _names(directory):
            if name not in found:
                found[name] = _listed(name, str(directory), [directory])
    for name in _shipped():
        if name not in found:
            found[name] = _listed(name, SHIPPED, [])
    return [found[name] for name in sorted(found)]


def _listed(name: str, origin: str, dirs: Sequence[Path]) -> Listed:
    try:
        runbook = load_runbook(name, dirs)
    except RunbookError as error:
        problem = str(error.findings[0]) if isinstance(error, RunbookFileError) else str(error)
        return Listed(name, origin, problem=problem)
    overrides = bool(dirs) and name in _shipped()
    return Listed(name, origin, runbook.kind, runbook.engine, runbook.description, runbook.digest, overrides)


def _checked(document: Document, name: str) -> Runbook:
    """Raises RunbookFileError with every finding at once."""
    findings = list(document.findings)
    runbook: Runbook | None = None
    if document.data is not None:
        try:
            runbook = Runbook.from_document(document)
        except ValidationError as error:
            findings += findings_of(error, document, model=Runbook)
    if runbook is not None and runbook.name != name:
        findings.append(
            document.error(
                ("name",), f"the runbook calls itself {runbook.name!r}", f"the file is called {name}", name
            )
        )
    if runbook is None or findings:
        raise RunbookFileError(
            f"{len(findings)} finding{'s' * (len(findings) != 1)}: this is no valid runbook",
            findings=in_order(findings),
            where=document.file,
            hint="mend the lines above; docs/runbooks.md says what a runbook is made of",
        )
    return runbook


def _names(directory: Path) -> Iterator[str]:
    if directory.is_dir():
        yield from sorted(p.stem for p in directory.glob(f"*{_SUFFIX}") if p.is_file())


def _shipped() -> dict[str, str]:
    """Name → text of the runbooks in the package; works from a wheel too."""
    library = files("runbooks") / "library"
    if not library.is_dir():
        return {}
    found = {
        entry.name.removesuffix(_SUFFIX): entry.read_text(encoding="utf-8")
        for entry in library.iterdir()
        if entry.name.endswith(_SUFFIX)
    }
    return dict(sorted(found.items()))
