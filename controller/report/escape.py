"""What comes from outside (server texts, command output, reasons typed by people) as harmless Markdown."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, Final

# Emphasis, code, links, tables, HTML and entities; a colon only where it would make a link of an address.
# An underscore inside a word is none.
_MARKS: Final = re.compile(
    r"([\\`*{}\[\]<>#|~&$]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.)", re.IGNORECASE
)
# At the beginning of a line these begin a list, a quotation or a heading.
_BEGINNINGS: Final = re.compile(r"^([-+=]|\d+(?=[.)]))")
_FENCES: Final = re.compile(r"`+")
# Texts of a page may be long, but a report must stay readable: the journal keeps the whole.
LONGEST_BLOCK: Final = 8000


def plain(value: object) -> str:
    """One line without control characters. Direction marks are taken out too: with them a text shows what it
    does not say."""
    text = str(value).encode("utf-8", "replace").decode()
    kept = (" " if c in "\r\n\t\v\f\x85\u2028\u2029" else c for c in text)
    return " ".join(
        "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs")).split()
    )


def escaped(value: object) -> str:
    """One line in which nothing is markup: for paragraphs, list items and cells of tables."""
    text = _MARKS.sub(r"\\\1", plain(value))
    return _BEGINNINGS.sub(lambda m: f"\\{m[1]}" if not m[1].isdigit() else f"{m[1]}\\", text)


def code(value: object) -> str:
    """A short technical text set as code; one that holds backticks is only escaped. Safe in a cell."""
    text = plain(value)
    return escaped(text) if not text or set(text) & set("`|\\") else f"`{text}`"


def block(text: str, language: str = "") -> list[str]:
    """Lines of a fenced block that its content can't end."""
    clean = [_printable(line) for line in text.encode("utf-8", "replace").decode().splitlines()]
    whole = "\n".join(clean)
    if len(whole) > LONGEST_BLOCK:
        whole = f"{whole[:LONGEST_BLOCK]}\n… {len(whole) - LONGEST_BLOCK} more characters in the journal"
    fence = "`" * max(3, 1 + max((len(run) for run in _FENCES.findall(whole)), default=0))
    return [f"{fence}{language}", whole, fence]


def json_block(value: Any) -> list[str]:
    return block(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str), "json")


def _printable(line: str) -> str:
    return "".join(
        c for c in line.expandtabs() if c == " " or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs")
    )
