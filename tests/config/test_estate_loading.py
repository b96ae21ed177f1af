"""An estate is loaded as values, or refused with every problem; nothing else ever comes out of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml
from estate_texts import VALID, spoiled, write
from hypothesis import given, settings
from hypothesis import strategies as st

from config.loader import examine, load_estate
from config.positions import load_yaml
from config.report import check_report
from config.schema import Control, Estate, MemberRole, ServiceMode
from config.starter import example_estates, starter_estate
from model.errors import EstateError

LINES = VALID.splitlines(keepends=True)
JUNK = st.sampled_from(
    ["", " ", ":", "- ", "[", "]", "{", "}", "'", '"', "&a ", "*a", "!", "no", "0x1", "1e9", "null",
     "~", "<<: ", "\t", "\n", "# ", "ü", "\x00", "30s", "hunter2", "name: x", "@", "%", "|",
     ">", ", ", "-1", ".nan"]
)  # fmt: skip

PLACES = [
    *("services", "nodes", "sites", "people", "daemon", "pager", "services.orders", "nodes.db1"),
    *(f"services.orders.{key}" for key in ("members", "members.pg1", "postgresql", "objectives", "endpoint")),
    *("services.orders.depends_on", "services.orders.postgresql.synchronous_standby_names"),
    "people.ada.os_users",
]


def test_the_values_are_what_the_file_says(tmp_path: Path) -> None:
    path = write(tmp_path, VALID)
    loaded = load_estate(path)
    estate = loaded.estate
    orders = estate.service("orders")
    assert (orders.name, orders.mode, orders.objectives.rto, orders.objectives.mtpd) == (
        "orders", ServiceMode.ACT, 30.0, 14400.0,
    )  # fmt: skip
    pg3 = orders.members["pg3"]
    assert (pg3.name, pg3.host, pg3.port, pg3.role, pg3.application_name) == (
        "pg3", "10.0.3.1", 5432, MemberRole.DR, "pg3",
    )  # fmt: skip
    assert (pg3.control_kind, pg3.control_target) == (Control.SYSTEMD, "postgresql@15-main.service")
    assert estate.site_of(pg3).name == "far"
    person = estate.person_of("root2")
    assert person is not None
    assert (person.id, person.name) == ("ada", "Ada")
    assert orders.postgresql.roles.control.password is not None
    assert str(orders.postgresql.roles.control.password) == "env:BCM_CTL"
    assert loaded.path == path
    assert [str(w).split(": ")[2] for w in loaded.warnings] == ["billing"]


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, VALID)
    first = load_estate(path).digest
    assert first == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_estate(write(tmp_path, VALID + "# a comment\n")).digest != first


def test_an_error_carries_every_problem_and_says_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, spoiled("mode: act", "mode: Act", spoiled("rto: 30s", "rto: 30", VALID)))
    with pytest.raises(EstateError) as caught:
        load_estate(path)
    assert [p.split(": ")[0] for p in caught.value.problems] == [f"{path}:35:11", f"{path}:37:23"]
    text = str(caught.value)
    assert text.startswith(f"{path}:35:11: error: ")
    assert "the estate can't be used: 2 problems" in text
    assert text.endswith(f"what to do: mend what is listed, then: bcm-failover check {path}")


@pytest.mark.parametrize("content", [b"", b"[1]", b"just text", b"null", b"\xff\xfe", b"a: ]", b"42"])
def test_a_file_that_is_no_estate_is_refused_with_a_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "estate.yaml"
    path.write_bytes(content)
    with pytest.raises(EstateError) as caught:
        load_estate(path)
    assert caught.value.problems
    assert all(p.startswith(f"{path}:1:") for p in caught.value.problems)


def test_a_missing_file_is_an_estate_error_too(tmp_path: Path) -> None:
    with pytest.raises(EstateError, match="there is no such file"):
        load_estate(tmp_path / "none.yaml")


def test_a_name_that_differs_from_its_key_is_refused_in_code_too() -> None:
    with pytest.raises(ValueError, match="taken from the key"):
        Estate.model_validate({"configVersion": 1, "sites": {"a": {"role": "dr", "name": "b"}}})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_done_to_an_estate_only_estate_errors_come_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[at])))
        match data.draw(st.sampled_from(["insert", "cut", "drop", "double", "swap", "indent"])):
            case "insert":
                lines[at] = lines[at][:column] + data.draw(JUNK) + lines[at][column:]
            case "cut":
                lines[at] = lines[at][:column] + "\n"
            case "drop":
                lines[at] = ""
            case "double":
                lines.insert(at, lines[at])
            case "swap":
                other = data.draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "indent":
                lines[at] = " " * data.draw(st.integers(1, 3)) + lines[at]
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_text("".join(lines), encoding="utf-8")
    try:
        problems: tuple[str, ...] = tuple(map(str, load_estate(path).warnings))
    except EstateError as error:
        problems = error.problems
        assert problems
    for problem in problems:
        line, col = problem.removeprefix(f"{path}:").split(":")[:2]
        assert int(line) >= 1
        assert int(col) >= 1
        assert "\n" not in problem


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=4,
    ),
    st.sampled_from(PLACES),
)
def test_any_value_in_any_place_is_a_finding_or_fine(value: object, place: str) -> None:
    data = yaml.safe_load(VALID)
    parent = data
    *above, last = place.split(".")
    for key in above:
        parent = parent[key]
    parent[last] = value
    examined = examine(load_yaml(yaml.safe_dump(data, allow_unicode=True)))
    assert examined.estate is not None or examined.errors


@pytest.mark.parametrize("name", example_estates())
def test_every_shipped_example_passes_check_without_a_warning(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, example_estates()[name])
    code, lines = check_report(path)
    assert code == 0
    assert not [line for line in lines if "warning:" in line]


def test_the_starter_observes_only(tmp_path: Path) -> None:
    estate = load_estate(write(tmp_path, starter_estate())).estate
    assert {service.mode for service in estate.services.values()} == {ServiceMode.OBSERVE}
    assert starter_estate() in example_estates().values()


def test_check_reports_findings_tolerance_and_digest(tmp_path: Path) -> None:
    path = write(tmp_path, VALID)
    code, lines = check_report(path)
    assert code == 0
    assert "24:34: warning: billing: asynchronous" in lines[0]
    assert lines[1].startswith("service billing: asynchronous: survives no loss with proof")
    assert lines[2].startswith("service orders: ANY 1 of 2 standbys: survives the loss of the primary alone")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert lines[3:] == [f"{path}: ok, 1 warning; 2 services, 5 members, digest sha256:{digest}"]

    write(tmp_path, spoiled("mode: act", "mode: Act"))
    code, lines = check_report(path)
    assert code == 1
    assert lines[1:] == [f"{path}: 1 error, 0 warnings"]
