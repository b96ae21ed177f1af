"""Is a service ready to lose its primary? (P19)"""

from __future__ import annotations

from typing import Any

from situation_player import Situation

from controller.candidates import positions
from controller.readiness import Ready, readiness
from model.quorum import choose, prove


def lines(described: dict[str, Any]) -> list[Ready]:
    view = Situation(described).view(1001.0, [])
    members = positions(view)
    return list(readiness(view, members, choose(members), prove(view.settings, members)))


def failed(described: dict[str, Any]) -> list[str]:
    return [line.text for line in lines(described) if line.ok is False]


def test_a_sound_service_is_ready_and_is_told_what_it_does_not_survive() -> None:
    found = lines({})
    assert [line.what for line in found] == ["proof", "candidate", "loss", "loss", "names"]
    assert [line.ok for line in found] == [True, True, None, None, True]
    text = "is not built to survive pg1 and pg2: ANY 1 of 2 needs 2 readable of (pg2, pg3); read: pg3"
    assert found[2].text == text
    assert "no standby beside it" in found[0].text
    assert "ANY 2" in found[0].hint


def test_any_2_survives_one_standby_too() -> None:
    [proof, *_] = lines({"service": {"settings": ["ANY 2 (pg2, pg3)"]}})
    assert "and 1 standby(s)" in proof.text


def test_what_is_missing_is_named() -> None:
    described = {
        "service": {"settings": ["ANY 1 (pg2, archive)"]},
        "members": {
            "pg1": {"facts": {"max_wal_senders": 2}},
            "pg2": {"facts": {"wal_log_hints": False, "data_checksums": False}},
            "pg3": {"facts": {"system_identifier": "8"}},
        },
    }
    text = "\n".join(failed(described))
    assert "archive in synchronous_standby_names is no member" in text
    assert "pg1 has max_wal_senders = 2, as primary it needs 4" in text
    assert "pg2 has neither data checksums nor wal_log_hints" in text
    assert "pg3 does not count: it is of another system" in text
    assert "the loss of the primary would leave no proof" in text


def test_an_excluded_copy_counts_and_is_told() -> None:
    [line] = [r for r in lines({"members": {"pg3": {"excluded": True}}}) if r.what == "copy"]
    assert line.ok is None
    assert "excluded" in line.text


def test_every_line_is_json() -> None:
    assert all(set(line.to_json()) == {"what", "ok", "text", "hint"} for line in lines({}))
