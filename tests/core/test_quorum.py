"""Who must be read to know every acknowledged write (P1 to P4)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.lsn import Position, format_lsn, parse_lsn
from model.quorum import (
    ASYNCHRONOUS,
    MemberPosition,
    SyncSetting,
    choose,
    format_names,
    names_after_failover,
    parse_synchronous_standby_names,
    prove,
    without,
)


def member(
    name: str,
    lsn: int | None = 100,
    *,
    app: str = "",
    timeline: int = 1,
    system: str = "7",
    preference: tuple[int, ...] = (0, 100),
    not_candidate: str | None = None,
) -> MemberPosition:
    position = None if lsn is None else Position(system, timeline, lsn)
    return MemberPosition(name, app or name, position, preference, not_candidate)


@pytest.mark.parametrize(
    ("text", "method", "k", "names"),
    [
        ("", "ANY", 0, ()),
        ("  ", "ANY", 0, ()),
        ("a", "FIRST", 1, ("a",)),
        ("a, b", "FIRST", 1, ("a", "b")),
        ("2 (a, b, c)", "FIRST", 2, ("a", "b", "c")),
        ("FIRST 2 (a, b)", "FIRST", 2, ("a", "b")),
        ("any 1 (a,b)", "ANY", 1, ("a", "b")),
        ('ANY 1 ("my ""standby""", b)', "ANY", 1, ('my "standby"', "b")),
        ("*", "FIRST", 1, ("*",)),
        ("ANY 1 (*)", "ANY", 1, ("*",)),
        ("2", "FIRST", 1, ("2",)),
        ("any", "FIRST", 1, ("any",)),
        ("first, any", "FIRST", 1, ("first", "any")),
    ],
)
def test_the_servers_grammar(text: str, method: str, k: int, names: tuple[str, ...]) -> None:
    setting = parse_synchronous_standby_names(text)
    assert (setting.method, setting.k, setting.names, setting.text) == (method, k, names, text)


@pytest.mark.parametrize(
    "text",
    ["a b", "ANY 1 a, b", "ANY 0 (a)", "a,", ",a", "ANY 1 ()", "ANY 1 (a", '"a', "1 (a) b", "ANY ² (a)"],
)
def test_what_the_server_would_not_take(text: str) -> None:
    with pytest.raises(ValueError):
        parse_synchronous_standby_names(text)


NAMES = st.lists(
    st.text(min_size=1, max_size=8).filter(lambda n: n.strip() and n != "*"), min_size=1, max_size=4
)


@given(NAMES, st.integers(1, 4), st.sampled_from(["ANY", "FIRST"]))
def test_what_is_written_reads_back(names: list[str], k: int, method: str) -> None:
    try:
        setting = parse_synchronous_standby_names(format_names(method, k, names))
    except ValueError:  # brackets and commas as whole names, which the estate does not allow
        assert set(names) & {"(", ")", ",", "(,", ",)", "()", "(),", "),"}
        return
    assert setting.names == tuple(names)
    assert (setting.method, setting.k) == (method, min(k, len(names)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ANY 1 (*)", "`*`"),
        ('ANY 1 ("*")', "`*`"),
        ("ANY 2 (pg2, PG2)", "pg2 named twice"),
        ("ANY 3 (pg2, pg3)", "3 of 2"),
        ("ANY 1 (pg2, pg3)", None),
    ],
)
def test_ambiguous_names(text: str, why: str | None) -> None:
    found = parse_synchronous_standby_names(text).ambiguous()
    assert (found is None) if why is None else (found is not None and why in found)


@pytest.mark.parametrize(
    ("text", "read", "complete"),
    [
        ("ANY 1 (pg2, pg3)", "pg2 pg3", True),
        ("ANY 1 (pg2, pg3)", "pg2", False),
        ("ANY 1 (pg2, pg3)", "", False),
        ("ANY 2 (pg2, pg3)", "pg3", True),
        ("ANY 2 (pg2, pg3)", "", False),
        ("FIRST 1 (pg2, pg3)", "pg2", False),
        ("FIRST 1 (pg2, pg3)", "pg2 pg3", True),
        ("pg2, pg3", "pg3", False),
        ("ANY 2 (pg2, pg3, pg4)", "pg2 pg4", True),
        ("ANY 2 (pg2, pg3, pg4)", "pg4", False),
        ("ANY 1 (PG2, pg3)", "pg2 pg3", True),
        ("", "pg2 pg3", False),
        ("ANY 1 (*)", "pg2 pg3", False),
        ("ANY 2 (pg2, pg2)", "pg2 pg3", False),
        ("ANY 3 (pg2, pg3)", "pg2 pg3", False),
        # A reading of somebody whom the setting does not name proves nothing.
        ("ANY 1 (pg2, pg3)", "pg2 pg4", False),
    ],
)
def test_n_minus_k_plus_1_of_n_must_be_read(text: str, read: str, complete: bool) -> None:
    members = [member(n, 100 if n in read.split() else None) for n in ("pg2", "pg3", "pg4")]
    proof = prove([parse_synchronous_standby_names(text)], members)
    assert proof.complete is complete, proof.reason


def test_every_setting_that_may_have_been_in_force_must_be_satisfied() -> None:
    """P2: a stale ANY 2 where ANY 1 was in force lost 5 of 5 acknowledged rows."""
    two, one = (parse_synchronous_standby_names(t) for t in ("ANY 2 (pg2, pg3)", "ANY 1 (pg2, pg3)"))
    members = [member("pg2"), member("pg3", None)]
    assert prove([two], members).complete
    assert not prove([two, one], members).complete
    assert not prove([one, two], members).complete
    assert not prove([two, ASYNCHRONOUS], [member("pg2"), member("pg3")]).complete


def test_nothing_is_proven_without_a_known_setting() -> None:
    assert not prove([], [member("pg2"), member("pg3")]).complete


def test_a_name_that_two_members_share_counts_for_neither() -> None:
    """P1: also where the second of them can't be read."""
    setting = parse_synchronous_standby_names("ANY 2 (pg2, pg3)")
    impostor = member("pg4", None, app="PG2")
    assert not prove([setting], [member("pg2"), impostor]).complete
    assert prove([setting], [member("pg3"), impostor]).complete


@pytest.mark.parametrize("other", [member("pg3", timeline=2), member("pg3", system="8")])
def test_positions_of_different_lineages_are_not_compared(other: MemberPosition) -> None:
    proof = prove([parse_synchronous_standby_names("ANY 2 (pg2, pg3)")], [member("pg2"), other])
    assert not proof.complete
    assert "lineages" in proof.reason


@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_a_complete_proof_never_misses_an_acknowledged_write(n: int, k: int, data: st.DataObject) -> None:
    """The theorem itself: whichever k standbys acknowledged a write, one of those read has it."""
    names = [f"pg{i}" for i in range(n)]
    read = data.draw(st.sets(st.sampled_from(names)))
    proof = prove([SyncSetting("ANY", k, tuple(names))], [member(m, 1 if m in read else None) for m in names])
    missed = [acked for acked in itertools.combinations(names, k) if not read & set(acked)]
    if proof.complete:
        assert not missed
    elif k <= n:
        assert missed


def test_the_primary_is_not_its_own_standby() -> None:
    setting = without(parse_synchronous_standby_names("ANY 1 (PG1, pg2, pg3)"), "pg1")
    assert (setting.names, setting.k, setting.readable_needed) == (("pg2", "pg3"), 1, 2)
    assert without(parse_synchronous_standby_names("ANY 2 (pg1, pg2)"), "pg1").ambiguous()


def test_the_preferred_one_is_promoted_and_streams_first_what_it_lacks() -> None:
    ahead, preferred = member("dr", 500, preference=(1, 0)), member("pg2", 400)
    choice = choose([ahead, preferred])
    assert (choice.candidate, choice.source) == ("pg2", "dr")
    assert "100 bytes" in choice.reason
    assert choose([member("dr", 400, preference=(1, 0)), preferred]).source is None


def test_who_may_not_be_promoted_can_still_be_the_source() -> None:
    choice = choose([member("pg2", 400), member("pg3", 500, not_candidate="excluded")])
    assert (choice.candidate, choice.source) == ("pg2", "pg3")


def test_nobody_to_promote_says_why_of_everyone() -> None:
    choice = choose([member("pg2", None), member("pg3", not_candidate="its replay is paused")])
    assert choice.candidate is None
    assert "pg2: not readable" in choice.reason
    assert "pg3: its replay is paused" in choice.reason


def test_a_wanted_member_is_taken_or_refused() -> None:
    members = [member("pg2"), member("pg3"), member("pg4", None)]
    assert choose(members, wanted="pg3").candidate == "pg3"
    refused = choose(members, wanted="pg4")
    assert refused.candidate is None
    assert "pg2" not in refused.reason


def test_an_older_lineage_is_neither_candidate_nor_source() -> None:
    choice = choose([member("old", 900, preference=(0, 0)), member("pg2", 400, timeline=2)])
    assert (choice.candidate, choice.source) == ("pg2", None)
    assert choose([member("pg2", system="7"), member("pg3", system="8")]).candidate is None


@pytest.mark.parametrize(
    ("text", "remaining", "names"),
    [
        ("ANY 1 (pg1, pg2, pg3)", {"pg3": "pg3"}, 'ANY 1 ("pg3")'),
        ("ANY 2 (pg1, pg2, pg3, pg4)", {"pg3": "pg3", "pg4": "pg4"}, 'ANY 2 ("pg3", "pg4")'),
        ("ANY 2 (pg1, pg2, pg3)", {"pg3": "pg3"}, 'ANY 1 ("pg3")'),
        ("FIRST 1 (pg1, pg2, pg3)", {"pg3": "PG3"}, 'FIRST 1 ("PG3")'),
        # With nobody left, writes wait rather than being acknowledged on a single copy.
        ("ANY 1 (pg1, pg2)", {}, "ANY 1 (pg1, pg2)"),
        # One that the setting did not name acknowledges nothing now either.
        ("ANY 1 (pg1, pg2)", {"archive": "archive"}, "ANY 1 (pg1, pg2)"),
        ("", {"pg3": "pg3"}, ""),
    ],
)
def test_names_on_the_new_primary(text: str, remaining: dict[str, str], names: str) -> None:
    assert names_after_failover(parse_synchronous_standby_names(text), remaining) == names


@pytest.mark.parametrize(("text", "position"), [("0/0", 0), ("16/B374D848", 0x16B374D848), ("1/0", 1 << 32)])
def test_positions_as_the_server_writes_them(text: str, position: int) -> None:
    assert parse_lsn(text) == position
    assert parse_lsn(format_lsn(position)) == position


@pytest.mark.parametrize("text", ["", "16", "x/y", "16/"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError):
        parse_lsn(text)
