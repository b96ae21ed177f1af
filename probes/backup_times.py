"""Times in what a program printed: of the newest backup, or of all. Pure functions of text.

A time is seconds since 1970, which have no time zone, or ISO 8601. One of ISO 8601 without a zone is read in
the zone that is given; where clocks are set back there, in the earlier of the two hours.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

from probes.texts import one_line

TimeFormat = Literal["auto", "unix", "unix_ms", "iso"]
_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)
# Seconds of the years 2001 to 2286. Other numbers may be a date without dashes: `auto` takes none of them.
_PLAINLY_SECONDS = re.compile(r"\d{10}(\.\d{1,9})?", re.ASCII)
_STEP = re.compile(
    r"""(?P<dot>\.)?(?P<name>[^.\[\]"=\s]+) | \[(?P<index>-?\d{1,6})\] | \[(?P<all>\*)\]
    | \["(?P<quoted>[^"]+)"\] | \[(?P<key>[^\]="*\s]+)=(?P<wanted>[^\]]*)\]""",
    re.VERBOSE,
)

All = tuple[()]
Step = str | int | All | tuple[str, str]  # a name, a position, all, or those whose key has a value


class TimesError(Exception):
    """What was printed can't be read. It does not mean that there is no backup."""


def parse_selection(text: str) -> tuple[Step, ...]:
    """`[0].backup[error=false].timestamp.stop`: names and positions; `[*]` all; `[KEY=VALUE]` those of which
    that holds. Raises ValueError."""
    steps: list[Step] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (step["name"] and bool(step["dot"]) != bool(steps)):
            raise ValueError(
                f"not a path: {text!r}, at {text[at:]!r}; as in [0].backup[error=false].timestamp.stop"
            )
        if step["index"]:
            steps.append(int(step["index"]))
        elif step["all"]:
            steps.append(())
        elif step["key"]:
            steps.append((step["key"], step["wanted"]))
        else:
            steps.append(step["name"] or step["quoted"])
        at = step.end()
    return tuple(steps)


def times_in_json(text: str, selection: tuple[Step, ...], format_: TimeFormat, zone: dt.tzinfo) -> list[int]:
    """Seconds since 1970, as many as were selected; [] where the lists hold nothing that fits. Raises
    TimesError."""
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as exc:
        raise TimesError(f"it printed no JSON: {one_line(text, 80)!r}") from exc
    missed: list[str] = []
    found = list(_select(document, selection, missed))
    if missed and not found:
        raise TimesError(f"in its JSON {one_line(missed[0], 80)} is not there")
    return [_time(_text_of(value), format_, zone) for value in found]


def times_in_lines(text: str, format_: TimeFormat, zone: dt.tzinfo) -> list[int]:
    """A time a line. Raises TimesError."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise TimesError("it printed nothing")
    return [_time(line, format_, zone) for line in lines]


def _select(here: Any, steps: tuple[Step, ...], missed: list[str]) -> Iterator[Any]:
    if not steps:
        yield here
        return
    step, rest = steps[0], steps[1:]
    match step:
        case str() if isinstance(here, dict) and step in here:
            yield from _select(here[step], rest, missed)
        case int() if isinstance(here, list) and -len(here) <= step < len(here):
            yield from _select(here[step], rest, missed)
        case tuple() if isinstance(here, list | dict):
            for item in here.values() if isinstance(here, dict) else here:
                if not step or _holds(item, *step):
                    yield from _select(item, rest, missed)
        case _:
            missed.append(f"{step!r}")


def _holds(item: Any, key: str, wanted: str) -> bool:
    return isinstance(item, dict) and key in item and _text_of(item[key]) == wanted


def _text_of(value: Any) -> str:
    """As JSON writes it: true, false, null; a text without its quotes."""
    return value if isinstance(value, str) else json.dumps(value, default=str).strip('"')


def _time(text: str, format_: TimeFormat, zone: dt.tzinfo) -> int:
    is_number = _NUMBER if format_ in ("unix", "unix_ms") else _PLAINLY_SECONDS
    if format_ != "iso" and is_number.fullmatch(text):
        return int(Decimal(text) / (1000 if format_ == "unix_ms" else 1))
    if format_ in ("auto", "iso") and not text.isdigit():
        try:
            moment = dt.datetime.fromisoformat(text)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())
        except (ValueError, OverflowError):
            pass
    what = {"auto": "seconds since 1970 or ISO 8601", "iso": "ISO 8601"}.get(format_, format_)
    raise TimesError(f"no time ({what}): {one_line(text, 80)!r}")
