"""What a program may be given: arguments and environment variables, without secrets in plain sight."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from config.secrets import is_secret_key

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_ARGUMENT = re.compile(r"--?(?:pass(?:word|wd|phrase)?|secret|token|api-?key)=.+", re.IGNORECASE)


def check_arguments(arguments: Sequence[str], instead: str) -> None:
    """`instead`: how a secret is handed over. Raises ValueError."""
    for argument in arguments:
        if "\0" in argument:
            raise ValueError("an argument holds no NUL character")
        if _SECRET_ARGUMENT.fullmatch(argument):
            name = argument.partition("=")[0]
            raise ValueError(
                f"{name}: everybody on the host can see arguments; hand a secret over by {instead}"
            )


def check_environment(env: Mapping[str, str], secret_env: Mapping[str, Any], instead: str) -> None:
    """Raises ValueError."""
    for name in (*env, *secret_env):
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an environment variable (letters, digits, '_')")
    for name, value in env.items():
        if "\0" in value:
            raise ValueError(f"env.{name}: a value holds no NUL character")
        if is_secret_key(name) and not value.startswith("/"):
            raise ValueError(f"env.{name} looks like a secret; hand it over by {instead}")
    both = sorted(env.keys() & secret_env.keys())
    if both:
        raise ValueError(f"{', '.join(both)} is in `env` and in `secret_env`; it can be in one only")
