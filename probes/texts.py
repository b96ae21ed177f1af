"""Text that a target or a program said, made fit to be shown: one line, no control characters, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNFIT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


MASK = "***"


def masked(text: str, secrets: Iterable[str]) -> str:
    """Without the secrets. The longest first: one may be a part of another."""
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, MASK) if value else text
    return text


def one_line(text: str, most: int = 200) -> str:
    """Escape sequences of a terminal lose their effect; what is too long ends in `…`."""
    fit = _UNFIT.sub(" ", text).strip()
    return fit if len(fit) <= most else fit[: most - 1] + "…"
