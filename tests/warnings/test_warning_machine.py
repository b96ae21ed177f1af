"""When a warning begins and when it ends."""

from __future__ import annotations

from controller.early_warnings.machine import Entry, fold, restored
from controller.early_warnings.words import Change, Cleared, Key, Raised, Sign

KEY = Key("DiskFilling", "node/db1", "/")


class Book:
    def __init__(self, **shape: float) -> None:
        self.entries: dict[Key, Entry] = {}
        self.shape = shape

    def see(self, passed: bool | None, at_s: float, now_s: float | None = None) -> list[str]:
        sign = Sign(KEY, passed, at_s, f"at {at_s:g}", **self.shape)  # type: ignore[arg-type]
        return self.turn(at_s if now_s is None else now_s, [sign])

    def turn(self, now_s: float, signs: list[Sign] | None = None) -> list[str]:
        self.entries, changes = fold(self.entries, signs or [], now_s, f"utc {now_s:g}", clear_after_s=60.0)
        return [_said(change) for change in changes]


def _said(change: Change) -> str:
    match change:
        case Raised():
            return "raised"
        case Cleared(why=why):
            return f"cleared: {why}"


def test_a_warning_begins_with_the_reading_that_passes_and_is_told_once() -> None:
    book = Book()
    assert book.see(False, 1.0) == []
    assert book.see(True, 2.0) == ["raised"]
    assert book.see(True, 3.0) == []
    assert book.entries[KEY].open_utc == "utc 2"
    assert book.entries[KEY].sentence == "at 3"  # the figures of now, the beginning of then


def test_the_same_reading_seen_twice_counts_once() -> None:
    book = Book(readings=2)
    assert book.see(True, 1.0) == []
    assert book.see(True, 1.0, now_s=2.0) == []
    assert book.see(True, 3.0) == ["raised"]


def test_a_reading_that_is_clear_in_between_begins_the_count_anew() -> None:
    book = Book(readings=2)
    assert book.see(True, 1.0) == []
    assert book.see(False, 2.0) == []
    assert book.see(True, 3.0) == []
    assert book.see(True, 4.0) == ["raised"]


def test_what_must_last_is_no_warning_before_it_has_lasted() -> None:
    book = Book(after_s=30.0)
    assert book.see(True, 0.0) == []
    assert book.see(True, 29.0) == []
    assert book.see(True, 30.0) == ["raised"]


def test_it_ends_when_it_has_been_clear_for_long_enough_and_not_before() -> None:
    book = Book()
    book.see(True, 0.0)
    assert book.see(False, 10.0) == []
    assert book.see(True, 50.0) == []  # it was not clear for a minute: the same warning goes on
    assert book.see(False, 60.0) == []
    assert book.turn(119.0) == []
    assert book.turn(120.0) == ["cleared: it is clear"]
    assert book.entries == {}


def test_in_between_neither_begins_nor_ends_one() -> None:
    book = Book()
    assert book.see(None, 0.0) == []
    assert book.entries == {}
    book.see(True, 1.0)
    book.see(False, 2.0)
    book.see(None, 30.0)  # it breathes: the clear time begins anew
    assert book.turn(100.0) == []
    assert book.entries[KEY].open_utc is not None


def test_silence_ends_no_warning_until_nothing_is_known_any_more() -> None:
    book = Book(keep_s=3600.0)
    book.see(True, 0.0)
    assert book.turn(3599.0) == []
    assert book.turn(3601.0) == ["cleared: nothing has been heard of it for 60 min"]


def test_one_that_an_earlier_process_began_goes_on_without_being_told_again() -> None:
    book = Book()
    book.entries = {KEY: restored("was so", "utc before", 0.0, 3600.0)}
    assert book.see(True, 5.0) == []
    assert book.entries[KEY].open_utc == "utc before"
    book.see(False, 10.0)
    assert book.turn(70.0) == ["cleared: it is clear"]


def test_what_is_clear_and_was_never_a_warning_costs_no_memory() -> None:
    book = Book(readings=3)
    book.see(True, 1.0)
    book.see(False, 2.0)
    assert book.entries == {}
