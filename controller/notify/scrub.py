"""Takes out of a text what looks like a secret (S12): the last net, under callers that pass none."""

from __future__ import annotations

import re

_MASK = "***"
_PATTERNS = (
    # scheme://user:secret@host
    (
        re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE),
        rf"\g<keep>{_MASK}",
    ),
    # password=… passwd: '…' token=… in conninfo strings, JSON and command lines
    (
        re.compile(
            r"(?P<keep>\b(?:pg)?(?:password|passwd|passphrase|secret|token|api[_-]?key)\b[\"']?\s*[=:]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)",
            re.IGNORECASE,
        ),
        rf"\g<keep>{_MASK}",
    ),
    (re.compile(r"(?P<keep>\bauthorization\s*:\s*\w+\s+)\S+", re.IGNORECASE), rf"\g<keep>{_MASK}"),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        _MASK,
    ),
)


def scrub(text: str) -> str:
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def short(text: str, limit: int) -> str:
    """Scrubbed, on one line, at most `limit` characters."""
    line = " ".join(scrub(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
