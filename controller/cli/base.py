"""Commands that know the common options, show examples, and are loaded only when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from controller.cli.settings import settings_of

_OUTPUTS: Final = ("table", "json", "yaml")
PROGRAM: Final = "bcm-failover"
# --help says these in one line at the end: seven more lines under every command would bury its own options.
COMMON: Final = "-o/--output, --socket, --state-dir, -c/--config, --person, --no-color, -h/--help"


_HELP: Final = {"help_option_names": ["-h", "--help"]}


class PipeClosedError(Exception):
    """The reader of our output went away. No OSError, since click answers those with an exit code of 1."""


def common_options(*, root: bool) -> list[click.Option]:
    """Accepted before and after the command's name. Only the first place reads the environment: a word on the
    command line beats a variable."""

    def option(*names: str, envvar: str | None = None, **attrs: Any) -> click.Option:
        return click.Option(
            names,
            envvar=envvar if root else None,
            callback=_remember,
            expose_value=False,
            hidden=not root,
            **attrs,
        )

    path = click.Path(path_type=Path)
    return [
        option(
            "-o",
            "--output",
            type=click.Choice(_OUTPUTS),
            help="How to print: table (default), json or yaml (both with apiVersion).",
        ),
        option(
            "--socket", type=path, envvar="BCM_SOCKET", show_envvar=True, help="The daemon's admin socket."
        ),
        option(
            "--state-dir",
            type=path,
            envvar="BCM_STATE_DIR",
            show_envvar=True,
            help="The daemon's store, read when no daemon answers.",
        ),
        option(
            "-c",
            "--config",
            type=path,
            envvar="BCM_CONFIG",
            show_envvar=True,
            help="The estate; it also says where its daemon's socket and store are.",
        ),
        option(
            "--person",
            envvar="BCM_PERSON",
            show_envvar=True,
            help="Who is acting: root must say it, others are known by their account.",
        ),
        option("--no-color", is_flag=True, default=None, help="No colours (as with NO_COLOR set)."),
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and param.name is not None:
        setattr(settings_of(ctx), param.name, value)


class BcmCommand(click.Command):
    """`examples`: command lines, printed at the end of --help and in docs/cli.md."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attrs: Any) -> None:
        attrs["context_settings"] = _HELP
        super().__init__(*args, **attrs)
        self.examples = tuple(examples)
        given = {name for param in self.params for name in param.opts}
        self.params += [o for o in common_options(root=False) if not given & set(o.opts)]

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"Common options: {COMMON}; `{PROGRAM} --help` explains them.")


class BcmGroup(click.Group):
    """A group whose commands are imported when they are called.

    lazy: name → ("module:attribute", the help's first line), so that the list of commands costs nothing.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, tuple[str, str]] | None = None,
        examples: Sequence[str] = (),
        root: bool = False,
        **attrs: Any,
    ) -> None:
        attrs["context_settings"] = _HELP
        super().__init__(*args, **attrs)
        self.lazy = dict(lazy or {})
        self.examples = tuple(examples)
        self.root = root
        self.params += common_options(root=root)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.lazy, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.lazy[cmd_name][0]} is no command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeClosedError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.lazy:
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name][1]) for name in self.list_commands(ctx)])

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.examples, formatter)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def command(
    name: str, *, examples: Sequence[str], **attrs: Any
) -> Callable[[Callable[..., Any]], BcmCommand]:
    """A command; its docstring is its help. It returns its exit code, or None for 0."""

    def decorate(function: Callable[..., Any]) -> BcmCommand:
        return click.command(name, cls=BcmCommand, examples=examples, **attrs)(function)

    return decorate
