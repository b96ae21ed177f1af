"""Secrets that were written into the estate all the same: refused without repeating them (S12)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from config.document import Document, Path
from config.findings import Finding
from config.secrets import WHY_NOT_INLINE
from config.validation import dotted

_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s]*@", re.IGNORECASE)
_IN_OPTION = re.compile(
    r"(?:^|[\s;&?-])(?:password|passwd|pwd|passphrase|secret|token|api[-_]?key)\s*[=:]\s*\S", re.IGNORECASE
)
_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_BEARER = re.compile(r"\b(?:bearer|basic)\s+[A-Za-z0-9+/=_.~-]{8,}", re.IGNORECASE)


def inline_secret_findings(document: Document, suspects: set[str]) -> Iterator[Finding]:
    """Each place of a text that `inline_secret_texts` found."""
    if not suspects:
        return
    for path, text in _texts(document.data, ()):
        if text in suspects:
            yield document.error(path, f"{dotted(path)} has {_what(text)} in it", WHY_NOT_INLINE)


def inline_secret_texts(document: Document) -> set[str]:
    """Any text that looks like a URL with a user in it, an option with a password, or a private key. They are
    refused, and taken out of other messages."""
    texts = _different(document.data)
    # All at once first: where one of them matches, so does this. Hardly ever one does.
    return {text for text in texts if _what(text)} if _what("\n".join(texts)) else set()


def _different(data: Any) -> set[str]:
    """All texts; an estate has the same ones in many places."""
    found: set[str] = set()
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
    elif isinstance(value, str):
        yield path, value


def _what(text: str) -> str:
    if _IN_URL.search(text):
        return "a URL with a user or password"
    if _KEY_BLOCK.search(text):
        return "a private key"
    if _IN_OPTION.search(text) or _BEARER.search(text):
        return "an option that looks like a secret"
    return ""
