"""The chain, for any records and any tampering: what is done to a row inside it is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.store.chain import EMPTY, ChainCheck, Head
from controller.store.records import Draft, Writer, decode, seal, snapshot
from model.canonical import record_hash

Row = tuple[int, str, str]

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
drafts = st.builds(
    Draft,
    type=st.sampled_from(["step.intent", "step.result", "clock.mark"]),
    data=st.dictionaries(texts, values, max_size=4),
    service=st.none() | texts,
    incident=st.none() | st.just("new") | texts,
    execution=st.none() | st.just("new") | texts,
    actor=texts,
    anchor=st.booleans(),
    mono_ns=st.integers(0, 2**63),
    wall_utc=st.just("2026-11-25T13:30:00.000000Z"),
    wall_offset_us=st.none() | st.integers(-(10**9), 10**9),
)
chains = st.lists(drafts, min_size=2, max_size=8)


def rows_of(records: list[Draft]) -> list[Row]:
    head: Head = EMPTY
    rows = []
    for record in records:
        event, text = seal(record, Writer("ops1", "boot", 3), seq=head.seq + 1, prev=head.hash)
        rows.append((event.seq, text, event.hash))
        head = Head(event.seq, event.hash)
    return rows


def check(rows: list[Row]) -> ChainCheck:
    chain = ChainCheck()
    for row in rows:
        chain.feed(*row, strict=True)
    return chain


@settings(deadline=None, max_examples=60)
@given(chains)
def test_what_was_sealed_is_sound_and_reads_back_as_it_was(records: list[Draft]) -> None:
    rows = rows_of(records)
    chain = check(rows)
    assert chain.problems == []
    assert chain.head == chain.last_good == Head(rows[-1][0], rows[-1][2])
    for record, (seq, text, hash_) in zip(records, rows, strict=True):
        event = decode(text, hash_)
        assert event.seq == seq
        assert event.data == snapshot(record.data)
        assert record_hash(event.to_json()) == hash_


@settings(deadline=None, max_examples=60)
@given(chains, st.data())
def test_any_other_character_in_any_record_is_found(records: list[Draft], data: st.DataObject) -> None:
    rows = rows_of(records)
    place = data.draw(st.integers(0, len(rows) - 1))
    seq, text, hash_ = rows[place]
    at = data.draw(st.integers(0, len(text) - 1))
    new = data.draw(st.characters().filter(lambda c: c != text[at]))
    rows[place] = (seq, text[:at] + new + text[at + 1 :], hash_)
    chain = check(rows)
    assert chain.problems
    assert chain.last_good.seq == place


@settings(deadline=None, max_examples=60)
@given(chains, st.data())
def test_a_record_written_anew_with_a_hash_that_fits_is_found_by_the_next(
    records: list[Draft], data: st.DataObject
) -> None:
    rows = rows_of(records)
    place = data.draw(st.integers(0, len(rows) - 2))
    other: Any = replace(records[place], actor=records[place].actor + "!")
    seq, _, _ = rows[place]
    prev = rows[place - 1][2] if place else EMPTY.hash
    event, text = seal(other, Writer("ops1", "boot", 3), seq=seq, prev=prev)
    rows[place] = (seq, text, event.hash)
    assert any("does not follow" in p for p in check(rows).problems)


@settings(deadline=None, max_examples=60)
@given(chains, st.data())
def test_a_missing_record_is_found_unless_it_is_the_last(records: list[Draft], data: st.DataObject) -> None:
    rows = rows_of(records)
    del rows[data.draw(st.integers(0, len(rows) - 2))]
    assert any("missing" in p for p in check(rows).problems)


@settings(deadline=None, max_examples=60)
@given(chains, st.data())
def test_swapped_records_are_found(records: list[Draft], data: st.DataObject) -> None:
    rows = rows_of(records)
    one, other = data.draw(
        st.lists(st.integers(0, len(rows) - 1), min_size=2, max_size=2, unique=True).map(sorted)
    )
    rows[one], rows[other] = (rows[one][0], *rows[other][1:]), (rows[other][0], *rows[one][1:])
    assert any("records were moved" in p for p in check(rows).problems)


@settings(deadline=None, max_examples=60)
@given(chains)
def test_the_tail_is_the_only_thing_that_a_chain_can_not_see(records: list[Draft]) -> None:
    """Which is why there is an anchor beside it."""
    assert check(rows_of(records)[:-1]).problems == []
