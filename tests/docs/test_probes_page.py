"""docs/probes.md says what the types say."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.probe_types import describe, describe_all
from controller.report.probes_page import probes_page

PAGE = Path(__file__).parents[2] / "docs" / "probes.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == probes_page(), (
        "run `python -m controller.report.probes_page > docs/probes.md`"
    )


@pytest.mark.parametrize("name", [item["type"] for item in describe_all()])
def test_every_type_says_what_it_is_and_what_each_option_means(name: str) -> None:
    described = describe(name)
    assert described["summary"]
    assert [o["name"] for o in described["options"] if not o["meaning"]] == []
