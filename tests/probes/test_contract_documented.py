"""The example of docs/adding-a-probe.md is the one that is built, installed and run by the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third-party-probe"


@pytest.mark.parametrize(("language", "file"), [("python", "memcached_probe.py"), ("toml", "pyproject.toml")])
def test_the_documented_example_is_the_tested_one(language: str, file: str) -> None:
    page = (ROOT / "docs" / "adding-a-probe.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert (EXAMPLE / file).read_text(encoding="utf-8") in blocks
