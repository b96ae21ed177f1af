"""Durations as people write them: `500ms`, `30s`, `5m`, `4h`, `2d`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PATTERN = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)\s*", re.ASCII)


class FileFloat(float):
    """A number as it stands in a file: it has no unit, so it is no duration. A float from code is seconds."""


def parse_duration_s(value: object) -> float:
    """Seconds of `30s`, `1.5h`, …; a bare number is refused, since its unit would be a guess.

    A number that is a float already is passed through: it comes from code, not from a file.
    Raises ValueError.
    """
    if isinstance(value, float) and not isinstance(value, FileFloat):
        return value
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        shown = value if isinstance(value, str | int | float) else type(value).__name__
        raise ValueError(f"not a duration: {shown!r}; write a number and a unit: 500ms, 30s, 5m, 4h, 2d")
    return float(match[1]) * _UNITS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact form: 0.5 → `500ms`, 7200 → `2h`."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit in ("d", "h", "m"):
        size = _UNITS[unit]
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _more_than_none(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0")
    return value


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["30s", "4h"]}),
]
PositiveSeconds = Annotated[Seconds, AfterValidator(_more_than_none)]
