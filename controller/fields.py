"""Reading a journal record's data without trusting its shape.

A reader meets records of older and newer versions; a key that is missing or of another type reads as absent,
so that a report is always written from what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NOTHING: Mapping[str, Any] = {}
_TOO_LARGE = 1 << 63


def integer(data: Mapping[str, Any], key: str) -> int | None:
    """None too for what no writer of ours could have meant: more than 64 bits."""
    value = data.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _TOO_LARGE:
        return None
    return value


def text(data: Mapping[str, Any], key: str, default: str = "") -> str:
    value = data.get(key)
    return value if isinstance(value, str) else default


def optional_text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) else None


def mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else _NOTHING


def items(data: Mapping[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return list(value) if isinstance(value, list | tuple) else []


def mappings(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [item for item in items(data, key) if isinstance(item, Mapping)]


def texts(data: Mapping[str, Any], key: str) -> list[str]:
    return [item for item in items(data, key) if isinstance(item, str)]
