"""Help and documentation say what the commands do."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from controller.cli.base import BcmCommand, BcmGroup
from controller.cli.main import cli
from controller.cli.reference import render
from tests.cli.conftest import ROOT, Shell


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli))


def test_the_page_is_current() -> None:
    made = render()
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == made, (
        "make it anew: python -m controller.cli.reference > docs/cli.md"
    )


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    """The list is written down apart, so that showing it imports nothing."""
    assert isinstance(cli, BcmGroup)
    help_ = ALL[name,].help
    assert help_
    summary = cli.lazy[name][1].rstrip(".")
    assert len(summary) <= 60
    assert ALL[name,].get_short_help_str(200)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself(alone: Shell, path: tuple[str, ...]) -> None:
    said = alone(*path, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: bcm-failover {' '.join(path)}")
    if isinstance(ALL[path], BcmCommand | BcmGroup):
        assert "Examples:" in said.out


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_example_is_a_command_line_that_is_understood(path: tuple[str, ...]) -> None:
    """Options and arguments of each example parse; nothing is run."""
    import shlex

    for example in getattr(ALL[path], "examples", ()):
        for part in example.split("|")[0].split("#")[0].split(">")[:1]:
            words = [w for w in shlex.split(part) if w != "sudo"]
            if words[:1] != ["bcm-failover"]:
                continue
            parse(cli, words[1:])


def parse(group: click.Group, words: list[str]) -> None:
    context = group.make_context("bcm-failover", list(words), obj=None)
    name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None
    if isinstance(command, click.Group):
        parse(command, rest)
    else:
        command.make_context(name, rest, parent=context)
