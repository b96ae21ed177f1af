"""`completion`: the shell's completion script."""

from __future__ import annotations

from typing import Final

import click

from controller.cli.base import PROGRAM, command
from controller.cli.exits import ExitCode
from model.errors import UsageError

_VARIABLE: Final = "_BCM_FAILOVER_COMPLETE"


@command(
    "completion",
    examples=(
        "bcm-failover completion bash > /etc/bash_completion.d/bcm-failover",
        "bcm-failover completion zsh > ~/.zfunc/_bcm-failover",
        "bcm-failover completion fish > ~/.config/fish/completions/bcm-failover.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print SHELL's completion script.

    It completes commands and options and, while a daemon answers, names of services, members, incidents and
    executions.
    """
    from click.shell_completion import get_completion_class

    complete = get_completion_class(shell)
    if complete is None:
        raise UsageError(f"there is no completion for {shell!r}", hint="bash, zsh or fish")
    made = complete(click.get_current_context().find_root().command, {}, PROGRAM, _VARIABLE)
    # Not `source()`: for bash it would run the bash that happens to be on this PATH to ask for its version.
    click.echo(made.source_template % made.source_vars())
    return ExitCode.OK
