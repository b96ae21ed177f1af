"""Printing for people and for machines. Colours only on a terminal, and not where NO_COLOR says so."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from controller.cli.client import API_VERSION
from controller.cli.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

# Nothing wraps where a program reads; people's terminals say how wide they are.
_PIPE_WIDTH: Final = 240
_STYLES: Final = {
    "up": "green", "succeeded": "green", "ok": "green", "act": "green", "pass": "green",
    "suspect": "yellow", "unknown": "yellow", "ask": "yellow", "undone": "yellow", "running": "cyan",
    "down": "bold red", "failed": "bold red", "fail": "bold red", "hold": "bold red",
}  # fmt: skip
_MARKS: Final = {"succeeded": "✓", "pass": "✓", "failed": "✗", "fail": "✗", "unknown": "?", "skipped": "-"}
_PLAIN: Final = {"succeeded": "ok", "pass": "pass", "fail": "FAIL"}


def clean(value: object) -> str:
    """Text from elsewhere may not move the cursor or change colours."""
    text = "" if value is None else str(value)
    return "".join(c for c in text if c in "\n\t" or (c.isprintable() or c == " "))


def style_of(word: str) -> str:
    return _STYLES.get(word, "")


def mark_of(word: str) -> str:
    """✓ and ✗ on a terminal that can show them, words elsewhere."""
    fancy = sys.stdout.isatty() and "utf" in (sys.stdout.encoding or "").lower()
    return _MARKS.get(word, word) if fancy else _PLAIN.get(word, word)


def console(settings: Settings) -> Console:
    from rich.console import Console

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    terminal = sys.stdout.isatty()
    width = None if terminal else int(os.environ.get("COLUMNS") or _PIPE_WIDTH)
    return QuietConsole(
        width=width,
        force_terminal=None if terminal else False,
        no_color=True if settings.no_color or "NO_COLOR" in os.environ else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def print_rows(settings: Settings, rows: Iterable[tuple[str, str, bool | None]]) -> None:
    """Name, value, and whether that is good; None: neither."""
    from rich.text import Text

    out = console(settings)
    for name, value, good in rows:
        style = "" if good is None else ("green" if good else "bold red")
        out.print(Text(f"{name:<28}").append(clean(value), style=style), soft_wrap=True)


def emit(settings: Settings, body: Mapping[str, Any], table: Callable[[Mapping[str, Any]], None]) -> None:
    """The answer as the user wants it; `table` prints it for people."""
    if settings.structured:
        click.echo(structured(settings, body))
    else:
        table(body)


def structured(settings: Settings, body: Mapping[str, Any]) -> str:
    value = {"apiVersion": API_VERSION, **body}
    if settings.output == "yaml":
        import yaml

        return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).rstrip("\n")
    return json.dumps(value, indent=2, ensure_ascii=False)


def say(text: str) -> None:
    """A line beside the answer: goes to stderr, so that it never mixes with data."""
    click.echo(clean(text), err=True)


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    if value < 10:
        return f"{value:.3f} s" if value < 1 else f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{value:.1f} s"


def size(value: int | None) -> str:
    if value is None:
        return "-"
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(amount) < 1024 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GB"
