"""YAML is read strictly, and every value knows where it stands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from config.positions import findings_of, load_yaml
from config.yaml_reader import MAX_ALIASES, MAX_BYTES, MAX_DEPTH


def problems(text: str) -> list[str]:
    return [str(f) for f in load_yaml(text, file="f").findings]


def test_every_path_has_its_line_and_column() -> None:
    document = load_yaml("a:\n  b: [x, {c: 数}]\n  数字: 1\nd: |\n  text\n")
    assert document.data == {"a": {"b": ["x", {"c": "数"}], "数字": 1}, "d": "text\n"}
    assert document.position(("a", "b")) == (2, 6)
    assert document.position(("a", "b"), key=True) == (2, 3)
    assert document.position(("a", "b", 1, "c")) == (2, 14)
    assert document.position(("a", "数字")) == (3, 7)
    assert document.position(("d",)) == (4, 4)
    assert document.position(("a", "not", "there")) == (1, 1), "the head of what should have it"
    assert document.at(("a", "b", 1, "c")) == "数"
    assert document.at(("a", "b", 7)) is None


LOOK = "check indentation, colons and quotes here and just above"
DECIMAL = "allowed: a decimal number, or text in quotes"
BASE = "leading zeros, colons, underscores and more than 18 digits are not accepted"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: error: the file is empty; nothing is declared"),
        ("# only a comment\n", "1:1: error: the file is empty; nothing is declared"),
        (
            "a: 1\n b: 2\n",
            f"2:3: error: not valid YAML: mapping values are not allowed in this context; {LOOK}",
        ),
        ("a: [1, 2\nb: 3\n", f"2:2: error: not valid YAML: did not find expected ',' or ']'; {LOOK}"),
        ("a: 1\n---\nb: 2\n", "2:1: error: a second YAML document begins here; one file holds one document"),
        ("a: *hunter2\n", f"1:4: error: not valid YAML: found undefined alias; {LOOK}"),
        ("a: \x07\n", "1:4: error: character U+0007 is not allowed; YAML is printable text"),
        ("{c: 1, c: 2}", "1:8: error: key 'c' is given twice; the first is at 1:2; allowed: each key once"),
        ("? [a]\n: b\n", "1:3: error: a key must be text; here it is a list or a mapping"),
        ("? \n: b\n", "1:2: error: a key is missing before the colon"),
        (
            "a: 12:30\n",
            f"1:4: error: 12:30 is read as a number in another base by YAML 1.1; {BASE}; {DECIMAL}",
        ),
        ("a: .inf\n", f"1:4: error: .inf is not a number that can be used here; {DECIMAL}"),
        (
            "a: !!binary aGk=\n",
            "1:4: error: tags are not supported; the estate is plain data; allowed: text in quotes",
        ),
        ("<<: 1\n", "1:5: error: `<<` merges mappings only; allowed: an alias of a mapping"),
    ],
)
def test_what_is_wrong_is_one_clear_line(text: str, expected: str) -> None:
    assert problems(text) == [f"f:{expected}"]


@pytest.mark.parametrize("word", ["no", "Yes", "ON", "off", "y", "N"])
def test_words_that_yaml_1_1_reads_as_bool_must_be_quoted(word: str) -> None:
    assert len(problems(f"a: {word}\n")) == 1
    assert len(problems(f"{word}: a\n")) == 1
    assert not problems(f"a: '{word}'\n")
    assert load_yaml(f'a: "{word}"\n').data == {"a": word}


def test_plain_data_keeps_its_types() -> None:
    document = load_yaml("{a: 1, b: true, c: null, d: 2026-01-02, e: -3, f: '007', g: 1.5}")
    assert not document.findings
    assert document.data == {"a": 1, "b": True, "c": None, "d": "2026-01-02", "e": -3, "f": "007", "g": 1.5}


def test_merged_keys_stand_where_they_were_written_and_own_keys_win() -> None:
    document = load_yaml("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\n")
    assert document.data["b"] == {"x": 1, "y": 3}
    assert document.position(("b", "x")) == (1, 11)
    assert document.position(("b", "y")) == (3, 6)


def test_aliases_that_multiply_are_refused_and_cost_nothing() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    assert "more than 200000 values once its aliases are followed" in problems(bomb)[-1]
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 8)}]}}\n" for i in range(1, 20)
    )
    assert "more than 200000 values" in problems(merges)[-1]
    many = "a: &a 1\nb: [" + "*a, " * (MAX_ALIASES + 1) + "]\n"
    assert f"more than {MAX_ALIASES} aliases" in problems(many)[0]
    assert "an alias within itself" in problems("a: &a [*a]\n")[0]


def test_depth_and_size_are_limited(tmp_path: Path) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in problems("[" * 99 + "]" * 99)[0]
    assert problems("[" * 100_000)
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: 1\n" + b"#" * MAX_BYTES)
    assert "larger than" in str(load_yaml(path).findings[0])


def test_a_file_that_cant_be_read_is_one_finding_at_its_name(tmp_path: Path) -> None:
    def only(path: Path) -> str:
        (finding,) = load_yaml(path).findings
        return str(finding).removeprefix(f"{path}:")

    assert only(tmp_path / "none.yaml").startswith("1:1: error: there is no such file")
    assert only(tmp_path) == "1:1: error: this is a directory; name the file"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    assert only(latin) == "2:7: error: byte 0xe9 is not UTF-8; save the file as UTF-8"
    marked = tmp_path / "bom.yaml"
    marked.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_yaml(marked).data == {"a": 1}
    if os.geteuid() != 0:
        latin.chmod(0)
        assert only(latin).startswith("1:1: error: the file may not be read by this user")


def test_terminal_escapes_of_a_value_are_not_printed() -> None:
    (line,) = problems('a: 1\n"\\e[31mred": 1\n"\\e[31mred": 2\n')
    assert "\x1b" not in line
    assert "red" in line


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(description="In metres.")


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    either: Inner | str = ""
    many: tuple[Inner, ...] = ()
    named: dict[str, Inner] = {}


def test_any_model_can_be_reported_with_its_known_keys() -> None:
    document = load_yaml("many:\n  - size: 1\n  - sise: 2\nnamed:\n  a: {size: x}\n", file="book.yaml")
    with pytest.raises(ValueError, match="validation errors") as caught:
        Outer.model_validate(document.data)
    assert [str(f) for f in findings_of(caught.value, document, model=Outer)] == [
        "book.yaml:3:5: error: key 'size' is missing in many[1]; it has no default; size: In metres",
        "book.yaml:3:5: error: unknown key 'sise' in many[1]; did you mean 'size'?; allowed: size",
        "book.yaml:5:13: error: named.a.size must be a whole number without quotes; it is text: 'x'",
    ]
    assert findings_of(caught.value, document, file="other")[0].file == "other"


@given(st.text())
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    document = load_yaml(text)
    assert document.data is not None or document.findings or text.strip() in ("~", "null", "Null", "NULL")
    for finding in document.findings:
        assert finding.line >= 1
        assert finding.col >= 1
        assert "\n" not in str(finding)
