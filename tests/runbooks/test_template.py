"""Templates fill in values and can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from runbooks.template import TemplateFaultError, constant, evaluate, names_in, render, render_by_line

VARS: dict[str, Any] = {
    "name": "pg2",
    "digits": "12",
    "members": ["pg2", "pg3"],
    "deep": {"items": 3, "none": None, "lsn": 7},
    "steps": {"prove": {"candidate": "pg2"}, "look": {}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ name }}", "pg2"),
        ("{{ members }}", ["pg2", "pg3"]),
        ("  {{- members -}} ", ["pg2", "pg3"]),
        ("{{ digits }}", "12"),
        ("{{ deep }}", {"items": 3, "none": None, "lsn": 7}),
        ("{{ deep.items }}", 3),
        ("{{ deep['lsn'] + 1 }}", 8),
        ("{{ -5 }}", -5),
        ("to {{ name }}", "to pg2"),
        ("{{ name }}{{ digits }}", "pg212"),
        ("{{ members | join(', ') }}", "pg2, pg3"),
        ("{{ members | reject('equalto', name) | list }}", ["pg3"]),
        ("{{ members[0] }}", "pg2"),
        ("{{ steps.prove.candidate }}", "pg2"),
        ("{{ steps.look.source | default('none') }}", "none"),
        ("{{ 'a' if members | length > 1 else 'b' }}", "a"),
        ("{{ [name, digits] }}", ["pg2", "12"]),
    ],
)
def test_a_whole_expression_keeps_its_type_and_a_text_stays_text(text: str, value: object) -> None:
    assert render(text, VARS) == value


def test_templates_are_filled_in_at_any_depth() -> None:
    filled = render({"a": ["{{ name }}", {"b": "{{ members }}"}], "n": 1, "t": True}, VARS)
    assert filled == {"a": ["pg2", {"b": ["pg2", "pg3"]}], "n": 1, "t": True}


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ name | attr('__class__') }}",
        "{{ ().__class__.__bases__ }}",
        "{{ name.upper() }}",
        "{{ self }}",
        "{{ range(10) }}",
        "{{ lipsum }}",
        "{{ cycler.__init__ }}",
        "{{ deep.get('lsn') }}",
        "{{ deep.values }}",
        "{{ name.format }}",
        "{{ '%s' | format(name) }}",
        "{{ name * 1000000000 }}",
        "{{ 2 ** 100000 }}",
        "{% for m in members %}{{ m }}{% endfor %}",
        "{% set x = 1 %}",
        "{# comment #}{{ name }}",
        "{{ members | map('upper') }}",
        "{{ _hidden }}",
        "{{ name" + " " * 40_000 + "}}",
    ],
)
def test_what_is_more_than_looking_things_up_is_refused(text: str) -> None:
    with pytest.raises(TemplateFaultError):
        render(text, VARS)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{{ nobody }}", "nobody"),
        ("to {{ nobody }}", "nobody"),
        ("{{ steps.prove.lsn }}", "lsn"),
        ("{{ steps.nothing.lsn }}", "nothing"),
        ("{{ members[9] }}", "9"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(text: str, named: str) -> None:
    with pytest.raises(TemplateFaultError, match=named):
        render(text, VARS)


@pytest.mark.parametrize("text", ["{{ 1.5 }}", "{{ [1.5] }}"])
def test_no_decimal_number_comes_out(text: str) -> None:
    with pytest.raises(TemplateFaultError, match="decimal"):
        render(text, VARS)


@pytest.mark.parametrize("text", ["to {{ members }}", "to {{ deep.none }}"])
def test_a_list_or_null_inside_a_text_is_a_slip(text: str) -> None:
    with pytest.raises(TemplateFaultError, match="inside a text"):
        render(text, VARS)


def test_a_value_is_never_read_as_a_template() -> None:
    assert render("{{ name }}", {"name": "{{ secret }}", "secret": "s"}) == "{{ secret }}"


@pytest.mark.parametrize(
    ("expression", "truth"),
    [
        ("name == 'pg2'", True),
        ("steps.look.source is defined", False),
        ("steps.prove.candidate is defined and not (name == 'pg3')", True),
        ("members | length > 2", False),
        ("'pg3' in members", True),
        ("deep.none is none", True),
    ],
)
def test_a_condition_is_judged(expression: str, truth: bool) -> None:
    assert evaluate(expression, VARS) is truth


def test_a_condition_that_is_neither_true_nor_false_is_an_error() -> None:
    with pytest.raises(TemplateFaultError, match="neither true nor false"):
        evaluate("name", VARS)


def test_names_are_found_without_running_anything() -> None:
    value = {"a": "{{ steps.prove.lsn }} and {{ name }}", "b": ["{{ x | default(y) }}"]}
    assert list(names_in(value)) == [("steps", "prove", "lsn"), ("name",), ("y",)]


def test_a_condition_without_names_is_constant() -> None:
    assert constant("1 == 2") is False
    assert constant("name == 'x'") is None


def test_a_value_fits_into_a_text_of_lines_as_a_part_of_a_line_only() -> None:
    assert render_by_line("a {{ name }}\nb\n", {"name": "x\ty"}) == "a x\ty\nb\n"
    for value in ("x\ny", "x\rallow all", "x\u2028y", "x\x00", "\x1b[2J"):
        with pytest.raises(TemplateFaultError, match="inside a line"):
            render_by_line("a {{ name }}\n", {"name": value})


def test_a_text_of_lines_stays_a_text_where_it_is_one_expression() -> None:
    assert render_by_line("{{ port }}\n", {"port": 5432}) == "5432\n"
