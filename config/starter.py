"""The files that are shipped for a start: a commented starter and examples."""

from __future__ import annotations

from importlib.resources import files

_STARTER = "starter.yaml"


def starter_estate() -> str:
    """A commented estate file that passes `check` as it is, in mode observe."""
    return files("config").joinpath("examples", _STARTER).read_text(encoding="utf-8")


def example_estates() -> dict[str, str]:
    """File name → text of every shipped example, the starter included."""
    return {
        entry.name: entry.read_text(encoding="utf-8")
        for entry in sorted(files("config").joinpath("examples").iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".yaml")
    }
