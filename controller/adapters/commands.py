"""What local and remote commands have in common: their environment, their words, their bounded output."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from probes.captured import OUTPUT_BYTES, Captured

__all__ = ["ENVIRONMENT", "OUTPUT_BYTES", "Captured", "as_user", "typed"]

# Nothing of ours is handed on: a PGDATA or LC_ALL of the daemon's must not change what is run. Texts are in
# English, so that what is read from them can be relied on.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


def as_user(argv: Sequence[str], user: str | None, env: Mapping[str, str] | None) -> list[str]:
    """argv for a host where this process is not root: `sudo` changes the user, `env` sets what sudo would
    drop. Never with a prompt."""
    command = list(argv)
    if env:
        command = ["env", *(f"{name}={value}" for name, value in env.items()), *command]
    return command if user is None else ["sudo", "-n", "-u", user, "--", *command]


def typed(argv: Sequence[str], user: str | None = None) -> str:
    """As a person would type it."""
    return shlex.join(as_user(argv, user, None))
