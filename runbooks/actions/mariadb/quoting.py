"""Values as parts of a statement, where the protocol's text statements take no parameters.

Every session has the sql_mode NO_BACKSLASH_ESCAPES and speaks UTF-8: a quote is the only letter that means
anything inside a text, and it is doubled.
"""

from __future__ import annotations

from model.errors import RunbookError


def quoted(value: str) -> str:
    """A text. Raises RunbookError, without the value, for one with control characters."""
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in value):
        raise RunbookError("a value with control characters can't be part of a statement")
    return "'" + value.replace("'", "''") + "'"
