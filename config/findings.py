"""Findings: what is wrong or doubtful in a file, where it stands, why, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

_SHOWN = 12  # names in a list; more of them hide the message


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for a person. `line` and `col` count from 1."""

    severity: Severity
    file: str
    line: int
    col: int
    what: str
    why: str = ""
    allowed: str = ""

    def __str__(self) -> str:
        parts = [f"{self.severity.value}: {self.what}"]
        if self.why:
            parts.append(self.why)
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        return printable(f"{self.file}:{self.line}:{self.col}: {'; '.join(parts)}")


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By place in the file, each once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.line, f.col, f.what)))


def printable(text: str) -> str:
    """On one line and without control characters: a value may hold terminal escapes."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text.replace("\n", " "))


def one_of(names: Iterable[str]) -> str:
    """`a, b, c` for the `allowed` of a finding, shortened if long."""
    listed = list(names)
    if not listed:
        return "none is declared"
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """`did you mean 'x'?`, or '' where nothing is near."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=0.6)
    return f"did you mean {by_lower[near[0]]!r}?" if near else ""
