"""What is read fast is what the strict reader gives: data, places, and no finding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.big_estate import declared
from config.plain_yaml import PlainMarks
from config.yaml_reader import read_strictly, read_yaml

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [*ROOT.glob("config/examples/*.yaml"), *ROOT.glob("runbooks/**/*.yaml"), *ROOT.glob("tests/**/*.yaml")]
)

# What a file may be made of: what means something to YAML beside what does not.
_PIECES = [
    "a", "bc", "k: ", "key:", "- ", "-", ": ", ":", " ", "  ", "\n", "\n  ", "\n    ", "\n- ", "\nx: ",
    "\ny:", "#", " # c", "'", '"', "'t'", '"u"', "[", "]", "{", "}", ", ", ",", "1", "007", "1:30", "-2",
    "1.5", ".5", "yes", "no", "on", "null", "~", "true", "2026-01-01", "5s", "a:b", "10.0.0.1:53", "/p/q",
    "<<", "*a", "&a ", "!t ", "|", ">", "?", "%", "@", "`", "--", "--c", "\\", "=", "é", "\u4e2d",
    "password: ", "secret:", "---", "...", "\t", "\r",
]  # fmt: skip
texts = st.lists(st.sampled_from(_PIECES), max_size=24).map("".join)
_scalars = st.sampled_from(
    [
        "a",
        "1",
        "5s",
        "'q'",
        '"r"',
        "[a, b]",
        "{k: v, l: [1]}",
        "",
        "true",
        "x # c",
        "it's",
        "--f",
        "-1",
        "a:b, c",
    ]
)


@st.composite
def blocks(draw: st.DrawFn, indent: int = 0, depth: int = 0) -> str:
    """Mostly what an estate is like."""
    pad = " " * indent
    lines = []
    for number in range(draw(st.integers(1, 3))):
        key = f"{pad}{draw(st.sampled_from(['k', 'password', 'yes', 'm']))}{number}:"
        kind = draw(st.sampled_from(["scalar", "block", "list", "comment"] if depth < 3 else ["scalar"]))
        if kind == "scalar":
            lines.append(f"{key} {draw(_scalars)}")
        elif kind == "comment":
            lines += [f"{pad}# c", f"{key}"]
        else:
            deeper = indent + draw(st.sampled_from([0, 2, 4]) if kind == "list" else st.just(2))
            lines.append(key)
            if kind == "block":
                lines.append(draw(blocks(deeper, depth + 1)))
                continue
            for item in draw(st.lists(_scalars, min_size=1, max_size=2)):
                mapping = draw(st.booleans())
                lines.append(f"{' ' * deeper}- {'i: ' if mapping else ''}{item}")
                if mapping and draw(st.booleans()):
                    lines.append(f"{' ' * deeper}  j: {draw(_scalars)}")
    return "\n".join(lines)


def compare(text: str) -> bool:
    """Was it read fast? Then it is the same."""
    found = read_yaml(text, "x")
    if not isinstance(found.marks, PlainMarks):
        return False
    strict = read_strictly(text, "x")
    assert not strict.findings
    assert _typed(found.data) == _typed(strict.data)
    assert dict(found.marks) == dict(strict.marks)
    return True


def _typed(data: Any) -> Any:
    """1 and 1.0 and True are equal, and not the same."""
    if isinstance(data, dict):
        return [(key, _typed(value)) for key, value in data.items()]
    if isinstance(data, list):
        return [_typed(value) for value in data]
    return type(data), data


@given(texts)
@settings(max_examples=300)
def test_any_text_is_left_to_the_strict_reader_or_read_alike(text: str) -> None:
    compare(text)


@given(blocks())
@settings(max_examples=200)
def test_what_estates_are_like_is_read_alike(text: str) -> None:
    compare(text)


def test_files_of_people_are_read_alike() -> None:
    read_fast = [path for path in FILES if compare(path.read_text(encoding="utf-8"))]
    assert len(read_fast) > len(FILES) / 2
    assert {p.name for p in FILES if p.parent.name == "examples"} <= {p.name for p in read_fast}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x 1\nb: *x", "an alias"),
        ("a: |\n  text", "a text on several lines"),
        ("a: one\n  two", "another"),
        ("a: 1\na: 2", "a key that is given twice"),
        ("a: yes", "what YAML 1.1 reads as true"),
        ("a: 0x10", "a number in another base"),
        ("a:\n\tb: 1", "a tab"),
        ("a: b: c", "a mapping where none may be"),
        ('a: "x\\n"', "an escape"),
        ("", "nothing"),
    ],
)
def test_what_it_is_not_sure_of_it_leaves(text: str, why: str) -> None:
    assert not isinstance(read_yaml(text, "x").marks, PlainMarks), why


def test_a_large_estate_is_read_fast() -> None:
    assert compare(yaml.safe_dump(declared(3), sort_keys=False))
