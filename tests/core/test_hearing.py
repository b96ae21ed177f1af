"""Silence counts only where something else is heard."""

from __future__ import annotations

from controller.hearing import Hearing

INTERVAL_S = 0.5
SILENCE_S = 2.4


def heard(*times_s: float) -> Hearing:
    hearing = Hearing()
    for at_s in times_s:
        hearing.heard(at_s, INTERVAL_S)
    return hearing


def test_nothing_counts_before_anything_was_heard() -> None:
    assert not Hearing().counts(1.0, 100.0, SILENCE_S)


def test_a_silence_counts_while_others_go_on_answering() -> None:
    hearing = heard(0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
    assert hearing.counts(1.1, 3.5, SILENCE_S)


def test_a_silence_since_which_nothing_was_heard_does_not_count() -> None:
    assert not heard(0.0, 0.5, 1.0).counts(1.1, 3.6, SILENCE_S)


def test_after_a_deaf_stretch_the_silence_is_counted_from_its_end() -> None:
    hearing = heard(0.0, 0.5, 4.0, 4.5, 5.0)
    assert not hearing.counts(0.6, 6.3, SILENCE_S)
    assert hearing.counts(0.6, 6.4, SILENCE_S)


def test_answers_out_of_order_make_no_deaf_stretch() -> None:
    hearing = heard(0.0, 0.7, 0.2, 1.2)
    assert hearing.since_s == 0.0
    assert hearing.last_s == 1.2
