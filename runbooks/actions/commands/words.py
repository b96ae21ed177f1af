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

_SQL_CLIENTS: Final = frozenset({"psql", "mysql", "mariadb", "redis-cli"})
_CODE_VARIABLE: Final = re.compile(
    r"PATH|IFS|ENV|BASH_ENV|SHELLOPTS|PS4|PROMPT_COMMAND|EDITOR|VISUAL|PAGER|NODE_OPTIONS|JAVA_TOOL_OPTIONS"
    r"|(LD|DYLD|PYTHON|PERL|RUBY|GIT)_?[A-Z0-9_]*"
)


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


def literal_surroundings(written: Mapping[str, Any]) -> Iterator[Path]:
    """The standard input of a program that reads code there, and variables that make programs run code."""
    command = written.get("command")
    words = [word for word in command if isinstance(word, str)] if isinstance(command, list | tuple) else []
    if _reads_code_from_input(words) and written.get("shell") is not True:
        yield ("stdin",)
    env = written.get("env")
    if not isinstance(env, Mapping):
        yield ("env",)
        return
    for name in env:
        if isinstance(name, str) and _CODE_VARIABLE.fullmatch(name):
            yield ("env", name)


def _reads_code_from_input(words: Sequence[str]) -> bool:
    name = _plain_name(words[0]) if words else ""
    if name not in _CODE_AFTER or any(_is_code_option(words[0], word) for word in words[1:]):
        return False
    return name in _SQL_CLIENTS or all(word.startswith("-") for word in words[1:])


def literal_places(written: Mapping[str, Any], names: Sequence[str]) -> Iterator[Path]:
    for name in names:
        if name in written:
            yield from literal_words(name, written[name])


def _program(words: Sequence[object]) -> str:
    return PurePosixPath(words[0]).name if words and isinstance(words[0], str) else ""


def _plain_name(program: str) -> str:
    """Without a version: `python3.11` is `python`."""
    return re.sub(r"[\d.]+$", "", PurePosixPath(program).name)


def _is_code_option(program: object, option: object) -> bool:
    """`bash`, `-euc`: is the word after the option code to the program?"""
    if not isinstance(program, str) or not isinstance(option, str):
        return False
    letters = _CODE_AFTER.get(_plain_name(program), "")
    if option.startswith("--"):
        return bool(letters) and option in ("--command", "--execute", "--eval")
    return option.startswith("-") and any(letter in option[1:] for letter in letters)
