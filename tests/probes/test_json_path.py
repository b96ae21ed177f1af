"""Places in a JSON document."""

from __future__ import annotations

from typing import Any

import pytest

from probes.json_path import NotThereError, find, parse_path

DOCUMENT = {"data": {"items": [{"state": "up"}, {"state": "down"}], "a.b": {"c d": 1}}, "": 0}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("data.items[0].state", "up"),
        ("data.items[-1].state", "down"),
        ('data["a.b"]["c d"]', 1),
        ("data.items", DOCUMENT["data"]["items"]),  # type: ignore[index]
    ],
)
def test_a_place_is_found(path: str, value: Any) -> None:
    assert find(DOCUMENT, parse_path(path)) == value


def test_a_list_at_the_root_is_entered_by_position() -> None:
    assert find([[1, 2]], parse_path("[0][1]")) == 2


@pytest.mark.parametrize(
    "path",
    [
        "data.items[2]",
        "data.items.state",
        "data[0]",
        "gone",
        "data.items[0].state[0]",
        "data.items[0].state.x",
    ],
)
def test_a_place_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(NotThereError, match="is not there"):
        find(DOCUMENT, parse_path(path))


@pytest.mark.parametrize(
    "path",
    ["", ".a", "a..b", "a.", "a[x]", "a[", 'a["', "a b", "a[1]b", "a.[0]", 'a[""]', "__import__('os')"],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    if path.startswith("__"):
        # Names are looked up, never evaluated.
        with pytest.raises(NotThereError):
            find(DOCUMENT, parse_path(path))
        return
    with pytest.raises(ValueError, match="path"):
        parse_path(path)
