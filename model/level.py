"""Crisis levels (危机等级): III general, II major, I extraordinary."""

from __future__ import annotations

from typing import Final

# From the lowest to the highest.
LEVELS: Final = ("III", "II", "I")


def higher_level(first: str, second: str) -> str:
    """The graver of two; a text that is no level counts for nothing."""
    known = [level for level in (first, second) if level in LEVELS]
    return max(known, key=LEVELS.index, default=first)
