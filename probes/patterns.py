"""Regular expressions over what a target said: in linear time, whatever it said.

Python's own engine can take years over a few dozen bytes that were chosen for it, and nothing else would run
meanwhile: one answer of a broken or hostile target could stop the whole controller. RE2 can't.
"""

from __future__ import annotations

from typing import Any

import re2

_MOST_CHARACTERS = 1000


def checked_pattern(text: str) -> str:
    """Raises ValueError with what is wrong."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"a pattern has at most {_MOST_CHARACTERS} characters")
    try:
        _compile(text)
    except re2.error as exc:
        reason = exc.args[0].decode() if isinstance(exc.args[0], bytes) else exc.args[0]
        raise ValueError(f"not a pattern (RE2): {text!r}: {reason}") from exc
    return text


class Pattern:
    """`found(text)`: does it occur anywhere in there? `^` and `$` are the ends of the whole text, or of a
    line after `(?m)`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._compiled = _compile(text)

    def found(self, text: str) -> bool:
        return self._compiled.search(text) is not None


def _compile(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # to standard error, by default
    return re2.compile(text, options=options)
