"""A place in a JSON document: `data.items[0].state`. Names and positions only; nothing is ever evaluated.

A name with a dot or bracket in it is quoted: `nodes["db1.example"].up`. A negative position counts from the
end, as `items[-1]`.
"""

from __future__ import annotations

import re
from typing import Any

from probes.texts import one_line

Path = tuple[str | int, ...]

_STEP = re.compile(
    r"""(?P<dot>\.)?(?P<name>[^.\[\]"\s]+) | \[(?P<index>-?\d{1,9})\] | \["(?P<quoted>[^"]+)"\]""", re.VERBOSE
)


class NotThereError(Exception):
    """The document has no such place."""


def parse_path(text: str) -> Path:
    """Raises ValueError."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        # Names are parted by dots, and the first has none before it.
        if step is None or (step["name"] and bool(step["dot"]) != bool(steps)):
            raise ValueError(f'not a path: {text!r}, at {text[at:]!r}; as in data.items[0].state or a["b.c"]')
        steps.append(int(step["index"]) if step["index"] else step["name"] or step["quoted"])
        at = step.end()
    if not steps:
        raise ValueError("a path names at least one step, as in data.items[0].state")
    return tuple(steps)


def find(document: Any, path: Path) -> Any:
    """The value at `path`. Raises NotThereError, with how far it went."""
    here = document
    for passed, step in enumerate(path):
        try:
            if isinstance(step, str) != isinstance(here, dict) or isinstance(here, str):
                raise KeyError(step)
            here = here[step]
        except (KeyError, IndexError, TypeError):
            raise NotThereError(f"{one_line(_text(path[: passed + 1]))} is not there") from None
    return here


def _text(path: Path) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return "".join(parts).removeprefix(".")
