"""Faults as people write them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.simulate.estates import Shape, estate_of
from controller.simulate.faults import KINDS, FaultEvent
from controller.simulate.generator import scenario_of
from controller.simulate.phrases import BEGIN_S, WORDS, parse, phrase
from model.errors import UsageError

ESTATE = estate_of(Shape())


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("site:dc1 down", FaultEvent(BEGIN_S, "site-down", "dc1")),
        ("site:dc1 isolated at 5s for 20s", FaultEvent(5.0, "site-cut", "dc1", 20.0)),
        ("node:db1 hang for 500ms", FaultEvent(BEGIN_S, "host-paused", "db1", 0.5)),
        ("node:db1 slow by 300ms", FaultEvent(BEGIN_S, "slow-link", "db1", 0.0, 0.3)),
        ("node:db2 lossy by 5% for 1m", FaultEvent(BEGIN_S, "lossy-link", "db2", 60.0, 0.05)),
        ("orders/pg2 disk-full", FaultEvent(BEGIN_S, "full-disk", "orders/pg2")),
        ("member:orders/pg2 crash", FaultEvent(BEGIN_S, "crash", "orders/pg2")),
        ("service:orders restart for 4s", FaultEvent(BEGIN_S, "restart", "orders/pg1", 0.0, 4.0)),
        ("link:dc1,ops cut for 9s", FaultEvent(BEGIN_S, "link-cut", "dc1,ops", 9.0)),
        ("link:db1,db2 cut", FaultEvent(BEGIN_S, "link-cut", "db1,db2")),
        ("controller killed at 4s", FaultEvent(4.0, "controller-killed", "", 0.0, 3.0)),
        ("controller clock-jumps by -5m", FaultEvent(BEGIN_S, "wall-jump", "", 0.0, -300.0)),
    ],
)
def test_what_is_written_is_what_is_struck(text: str, event: FaultEvent) -> None:
    assert parse(text, ESTATE) == event


@pytest.mark.parametrize(
    ("text", "what", "allowed"),
    [
        ("", "needs a target and a word", "site:NAME"),
        ("site:dc1", "needs a target and a word", "TARGET WORD"),
        ("site:dc9 down", "no site 'dc9'", "dc1, dc2"),
        ("node:dbl down", "no node 'dbl'", "did you mean 'db3'? allowed: db1, db2, db3"),
        ("orders/pg9 down", "no member of orders 'pg9'", "pg1, pg2, pg3"),
        ("bills/pg1 down", "no service 'bills'", "orders"),
        ("rack:r1 down", "'rack' is no kind of target", "site:NAME"),
        ("pg1 down", "'pg1' is no target", "SERVICE/MEMBER"),
        ("site:dc1 on-fire", "nothing that happens to a site", "down, cut, isolated"),
        ("link:db1 cut", "a link has two ends", "link:A,B"),
        ("link:db1,db1 cut", "a link has two ends", "link:A,B"),
        ("link:db1,mars cut", "no place 'mars'", "clients"),
        ("site:dc1 down at noon", "'noon' is no time", "30s"),
        ("site:dc1 down at 5", "'5' is no time", "30s"),
        ("site:dc1 down soon", "'soon' can't be read", "[at TIME]"),
        ("site:dc1 down at 5s at 6s", "'at' is said twice", "[at TIME]"),
        ("orders/pg1 crash for 5s", "no end of its own", "leave `for` out"),
        ("site:dc1 down by 3s", "has no `by`", "[for TIME]"),
        ("node:db1 lossy by 3s", "'3s' is no share", "20%"),
    ],
)
def test_what_can_not_be_read_is_said_with_what_is_allowed(text: str, what: str, allowed: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, ESTATE)
    assert what in caught.value.what
    assert "allowed: " in caught.value.hint
    assert allowed in caught.value.hint


def test_every_kind_of_fault_has_a_word() -> None:
    named = {word.fault: on for on, words in WORDS.items() for word in words.values()}
    assert named == {fault: kind.on for fault, kind in KINDS.items()}


@pytest.mark.parametrize("seed", range(60))
def test_what_is_written_of_a_fault_reads_as_the_same_fault(seed: int) -> None:
    scenario = scenario_of(f"phrase/{seed}")
    for event in scenario.events:
        again = parse(phrase(event), scenario.estate)
        assert again == replace(event, value=again.value)
        assert again.value == pytest.approx(event.value) or event.value == 0.0
