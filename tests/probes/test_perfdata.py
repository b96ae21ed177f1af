"""What Nagios plugins print, as the guidelines and real plugins have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.perfdata import MOST_VALUES, parse_output, parse_perfdata


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "/=2643MB;5948;5958;0;5968",
            {"/": {"value": "2643", "unit": "MB", "warn": "5948", "crit": "5958", "min": "0", "max": "5968"}},
        ),
        (
            "time=0.002722s;;;0.000000 size=0B;;;0",
            {
                "time": {"value": "0.002722", "unit": "s", "min": "0.000000"},
                "size": {"value": "0", "unit": "B", "min": "0"},
            },
        ),
        ("'the ''best'' label'=1", {"the 'best' label": {"value": "1"}}),
        ("'a=b c'=5%;80;90", {"a=b c": {"value": "5", "unit": "%", "warn": "80", "crit": "90"}}),
        ("load1=-1.5e-3;~:10;@5:20", {"load1": {"value": "-1.5e-3", "warn": "~:10", "crit": "@5:20"}}),
        ("x=U;1;2", {"x": {"value": "U", "warn": "1", "crit": "2"}}),
        ("a=1 garbage b=2c", {"a": {"value": "1"}, "b": {"value": "2", "unit": "c"}}),
        ("a=one b=1,5 c=", {}),
        ("a=1;bad;10:", {"a": {"value": "1", "crit": "10:"}}),
        ("", {}),
    ],
)
def test_values_stay_decimal_text(text: str, expected: dict[str, dict[str, str]]) -> None:
    assert parse_perfdata(text) == expected


def test_values_may_follow_the_first_line_and_the_long_text() -> None:
    said = parse_output("DISK OK - all well | /=1MB\n/boot 12 %\n/home 13 % | /boot=2MB\n/home=3MB\n")
    assert said.text == "DISK OK - all well"
    assert said.long_text == "/boot 12 %\n/home 13 %"
    assert {label: item["value"] for label, item in said.perfdata.items()} == {
        "/": "1",
        "/boot": "2",
        "/home": "3",
    }


def test_a_plugin_with_very_many_values_is_cut() -> None:
    assert len(parse_perfdata(" ".join(f"v{n}=1" for n in range(1000)))) == MOST_VALUES


@given(st.text(alphabet="a'=;|: \n.0-~@%U", max_size=60))
def test_no_output_breaks_it(text: str) -> None:
    said = parse_output(text)
    assert all(isinstance(v, str) for item in said.perfdata.values() for v in item.values())
