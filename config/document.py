"""A YAML file as plain data that still knows where each of its values stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.findings import Finding, Severity

Path = tuple[str | int, ...]
Mark = tuple[int, int]
"""Line and column, from 1."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Where an entry stands: its key (an item of a list: its value) and its value."""

    key: Mark
    value: Mark


@dataclass(frozen=True, slots=True)
class Document:
    """`data`: dicts with text keys, lists, text, int, FileFloat, bool, None; None if nothing could be read.

    findings: what is wrong with the file as YAML; the data is as complete as it can be in spite of them.
    """

    file: str
    data: Any
    marks: Mapping[Path, Marks] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    digest: str = ""

    def position(self, path: Path, *, key: bool = False) -> Mark:
        """(line, col) of a value, or of its key; of the nearest entry around it, where it is not there."""
        known = path
        while known and known not in self.marks:
            known = known[:-1]
        marks = self.marks.get(known)
        if marks is None:
            return (1, 1)
        # What is missing is missed at the head of the entry that should have it.
        return marks.key if key or known != path else marks.value

    def at(self, path: Path) -> Any:
        """The value at a path; None where there is none."""
        value = self.data
        for element in path:
            if isinstance(value, dict):
                value = value.get(element)
            elif isinstance(value, list) and isinstance(element, int) and 0 <= element < len(value):
                value = value[element]
            else:
                return None
        return value

    def mapping(self, *path: str | int) -> dict[str, Any]:
        """The mapping at a path; {} where there is none, so that a check can go on."""
        value = self.at(path)
        return value if isinstance(value, dict) else {}

    def items(self, *path: str | int) -> list[Any]:
        """The list at a path; [] where there is none."""
        value = self.at(path)
        return value if isinstance(value, list) else []

    def error(self, path: Path, what: str, why: str = "", allowed: str = "", *, key: bool = False) -> Finding:
        return Finding(Severity.ERROR, self.file, *self.position(path, key=key), what, why, allowed)

    def warning(
        self, path: Path, what: str, why: str = "", allowed: str = "", *, key: bool = False
    ) -> Finding:
        return Finding(Severity.WARNING, self.file, *self.position(path, key=key), what, why, allowed)
