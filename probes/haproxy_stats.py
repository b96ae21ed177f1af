"""What HAProxy says over its stats socket, as values: pure functions of text.

Source: HAProxy's management guide, chapter 9 (CSV, `show stat`, `show info`).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Any

from probes.texts import one_line

BACKEND = "BACKEND"


class NoStatsError(Exception):
    """What answered is no stats socket, or says no."""


@dataclass(frozen=True, slots=True)
class Row:
    """A server, or the backend as a whole (`name` is BACKEND).

    state: the first word of `status`, in small letters: up, down, maint, drain, nolb; or `no check`, which
    HAProxy uses like one that is up. checked: its newest check since it last began to take traffic succeeded;
    until then HAProxy takes it for good untried. None without checks; with `fall 1` the two look the same.
    """

    name: str
    status: str
    check_status: str
    sessions: int | None
    weight: int | None
    address: str
    last_change_s: int | None
    downtime_s: int | None
    checked: bool | None = None

    @property
    def state(self) -> str:
        return "no check" if self.status == "no check" else self.status.partition(" ")[0].lower()

    @property
    def usable(self) -> bool:
        return self.state in ("up", "no check")

    def to_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "check_status": self.check_status,
            "sessions": self.sessions,
            "weight": self.weight,
            "address": self.address,
            "last_change_s": self.last_change_s,
            "downtime_s": self.downtime_s,
        }


def read_info(text: str) -> dict[str, str]:
    """Of `show info`: what stands before and after each colon."""
    info = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            info[name] = value.strip()
    if "Version" not in info:
        raise NoStatsError(f"no stats socket of HAProxy: it says {one_line(text, 100)!r}")
    return info


def read_rows(text: str, backend: str) -> list[Row]:
    """Of `show stat`. Raises NoStatsError where there is no such backend."""
    text = text.strip()
    if not text.startswith("# pxname,svname,"):
        if text.startswith("No such proxy"):
            raise NoStatsError(f"HAProxy has no backend {backend!r}")
        raise NoStatsError(f"no statistics: it says {one_line(text, 100)!r}")
    try:
        lines = list(csv.DictReader(text.removeprefix("# ").splitlines(), restval=""))
    except csv.Error as exc:
        raise NoStatsError(f"no table: {exc}") from exc
    rows = [_row(line) for line in lines if line["pxname"] == backend and line.get("svname")]
    if not any(row.name == BACKEND for row in rows):
        raise NoStatsError(f"HAProxy has no backend {backend!r}")
    return rows


def _row(line: dict[str, str]) -> Row:
    return Row(
        name=line["svname"],
        status=line.get("status", ""),
        check_status=line.get("check_status", "").removeprefix("* "),  # the star: a check is under way
        sessions=_int(line.get("scur")),
        weight=_int(line.get("weight")),
        address=line.get("addr", ""),
        last_change_s=_int(line.get("lastchg")),
        downtime_s=_int(line.get("downtime")),
        checked=_checked(line),
    )


def _checked(line: dict[str, str]) -> bool | None:
    """A check that succeeds gives full health at once, `ready` only as much as counts for being up."""
    health, rise, fall = (_int(line.get(f"check_{key}")) for key in ("health", "rise", "fall"))
    return None if health is None or rise is None or fall is None else health >= rise + fall - 1


def _int(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
