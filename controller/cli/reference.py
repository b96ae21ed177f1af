"""docs/cli.md, made from the commands themselves: `python -m controller.cli.reference > docs/cli.md`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Final

import click

from controller.cli.base import PROGRAM, common_options
from controller.cli.main import cli

_HEAD: Final = """\
# The command line

Made from the commands themselves by `python -m controller.cli.reference > docs/cli.md`; a test fails where it
is out of date.

Client commands talk to the daemon over its admin socket and answer at once. With the daemon dead,
`incident`, `execution` and `journal` read the store, and `failover SERVICE --no-daemon` runs a failover from
where you are.

Who you are says the kernel: your account is a person of the estate (`people.<id>.os_users`). root may be
anybody and has to say who: `--person ID` or `BCM_PERSON`. What you ask for, approve or override is recorded
in that name.

With `-o json` or `-o yaml` a command prints one object on stdout with `apiVersion: bcm-failover/v1`; an error
is then an object with `error: {what, where, hint, gate, kind}`, and is told on stderr as well. Without it,
tables and text for people; colours only on a terminal, and not with `NO_COLOR` or `--no-color`.

## Exit codes

| code | meaning |
|---|---|
| 0 | ok |
| 1 | it failed, or there are findings |
| 2 | usage: a wrong option, or a name that does not exist |
| 3 | held by a gate, which is named |
| 4 | the outcome is unknown: look before you ask again |
| 5 | no daemon answers |
| 6 | waiting for approval by another person |
| 130, 141 | interrupted by Ctrl-C; the reader of the output went away |

An error of the program itself is told in one line; `BCM_DEBUG=1` shows where it happened.

## Options that every command takes

They may stand before or after the command's name.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD, _options(common_options(root=True)), "\n## Commands\n"]
    context = click.Context(cli, info_name=PROGRAM)
    parts += _commands(context, cli, level=3)
    return "\n".join(parts).rstrip("\n") + "\n"


def _commands(context: click.Context, group: click.Group, level: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            inner = click.Context(command, info_name=name, parent=context)
            yield from _command(inner, command, level)


def _command(context: click.Context, command: click.Command, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    if isinstance(command, click.Group):
        yield from _commands(context, command, level + 1)
        return
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    yield f"Usage: `{' '.join([context.command_path, *arguments, '[OPTIONS]'])}`\n"
    own = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if own:
        yield _options(own)
    examples = getattr(command, "examples", ())
    if examples:
        yield "```sh\n" + "\n".join(examples) + "\n```\n"


def _options(options: Sequence[click.Option]) -> str:
    rows = ["| option | |", "|---|---|"]
    for option in options:
        record = option.get_help_record(click.Context(click.Command(PROGRAM)))
        if record is not None:
            rows.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    click.echo(render(), nl=False)
