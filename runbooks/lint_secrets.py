"""Rules about secrets: none may stand in a runbook, which is journaled as a whole (S12)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from config.document import Path
from config.findings import Finding
from config.secrets import is_secret_key
from runbooks.lint_subject import Rule, Subject
from runbooks.template import is_template

# Texts that carry a secret wherever they stand: a password in a URL or a conninfo, a private key.
_IN_TEXT: Final = re.compile(
    r"://[^\s/:@]*:[^\s/@]+@"
    r"|\b(password|passwd|pgpassword|secret|token)\s*=\s*[^\s{]"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.IGNORECASE,
)

_REFERENCE: Final = ("file", "env", "credential")


def secret_in_plain(subject: Subject) -> Iterator[Finding]:
    places: list[tuple[Path, Any]] = [(("description",), subject.runbook.description)]
    places += [(("vars", n, "default"), v.default) for n, v in subject.runbook.vars.items()]
    for index, step in enumerate(subject.steps):
        places += [
            (("steps", index, "with"), step.with_),
            (("steps", index, "description"), step.description),
        ]
        if step.when:
            places.append((("steps", index, "when"), step.when))
    for path, value in places:
        for where in _secrets(path, value):
            yield subject.error(
                where, "a secret stands here in plain text",  # the text is not repeated
                "a runbook is journaled as a whole, and printed",
                "a reference: {file: PATH}, {env: NAME} or {credential: NAME}",
            )  # fmt: skip


def _secrets(path: Path, value: Any) -> Iterator[Path]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secrets((*path, key), item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _secrets((*path, number), item)
    elif isinstance(value, str) and _is_secret(path, value):
        yield path


def _is_secret(path: Path, value: str) -> bool:
    named = bool(value) and not is_template(value) and _named_secret(path)
    return named or _IN_TEXT.search(value) is not None


def _named_secret(path: Path) -> bool:
    """Does a key on the way to the value say that it is one? What a reference says is a place."""
    if path[-1] in _REFERENCE:
        return False
    return any(isinstance(part, str) and is_secret_key(part) for part in path)


SECRET_RULES: Final[tuple[Rule, ...]] = (secret_in_plain,)
