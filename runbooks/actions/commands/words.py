"""The words of a command: which of them may hold a value, and which must stand in the runbook.

A value is an argument and nothing else: it does not choose the program, is no part of a text that the program
reads as code, and does not become an option because it begins with a dash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from config.document import Path
from runbooks.template import is_template

# Options after which these read code, wherever they stand in the command (after `timeout 5`, say).
_CODE_AFTER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox"), "c"),
    **dict.fromkeys(("python", "python3", "su", "runuser", "script", "flock", "psql", "vim"), "c"),
    **dict.fromkeys(("perl", "ruby", "node", "php", "lua", "mysql", "mariadb", "redis-cli"), "eEr"),
    "powershell": "cC",
}
# These read a word as code, or as the program to run, without an option that tells which.
_ALL_CODE: Final = frozenset(
    {
        "awk", "chroot", "chrt", "doas", "env", "eval", "exec", "expect", "find", "gawk", "ionice", "jq",
        "mawk", "nice", "nohup", "nsenter", "parallel", "rsh", "sed", "setsid", "ssh", "stdbuf", "strace",
        "sudo", "systemd-run", "time", "timeout", "unshare", "watch", "xargs",
    }
)  # fmt: skip


def _as_text(value: object) -> object:
    """A number that a template gives is meant as its digits."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Argument = Annotated[str, BeforeValidator(_as_text)]
Words = tuple[Argument, ...]


def literal_words(name: str, words: object) -> Iterator[Path]:
    """Places in the option `name` that no value may fill. `words` as they are written in the runbook."""
    yield (name, 0)
    if not isinstance(words, list | tuple):
        return
    if _program(words[:1]) in _ALL_CODE:
        yield from ((name, at) for at in range(1, len(words)))
        return
    for at in range(1, len(words)):
        if any(_is_code_option(word, words[at - 1]) for word in words[: at - 1]):
            yield (name, at)


def value_as_option(name: str, written: object, words: object) -> str | None:
    """Why a value that was filled in would be an option of the program; None if none would."""
    if not isinstance(written, list | tuple) or not isinstance(words, list | tuple):
        return None
    for at, (template, word) in enumerate(zip(written, words, strict=False)):
        if not is_template(template) or template.startswith("-") or "--" in written[:at]:
            continue
        if str(word).startswith("-"):
            return (
                f"the value of `{name}[{at}]` begins with '-' and would be read as an option; "
                "`--` before it ends the options"
            )
    return None


def literal_places(written: Mapping[str, Any], names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        if name in written:
            yield from literal_words(name, written[name])


def _program(words: Sequence[object]) -> str:
    return PurePosixPath(words[0]).name if words and isinstance(words[0], str) else ""


def _is_code_option(program: object, option: object) -> bool:
    """`bash`, `-euc`: is the word after the option code to the program?"""
    if not isinstance(program, str) or not isinstance(option, str):
        return False
    name = re.sub(r"[\d.]+$", "", PurePosixPath(program).name)
    letters = _CODE_AFTER.get(name, "")
    if option.startswith("--"):
        return bool(letters) and option in ("--command", "--execute", "--eval")
    return option.startswith("-") and any(letter in option[1:] for letter in letters)
