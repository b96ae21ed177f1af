"""P2: after a change both settings count until a canary was acknowledged under the new one."""

from __future__ import annotations

from controller.supervisor.settings_history import SettingsHistory

ANY_2 = "ANY 2 (pg2, pg3)"
ANY_1 = "ANY 1 (pg2, pg3)"


def test_nothing_read_is_not_known() -> None:
    history = SettingsHistory()
    assert history.texts == ()
    assert history.settings == ()
    assert history.current is None


def test_a_loosened_setting_counts_beside_the_old_one_until_a_canary_confirms_it() -> None:
    history = SettingsHistory().acknowledged(ANY_2, 1).read(ANY_1, 2)
    assert history.texts == (ANY_2, ANY_1)
    assert [s.readable_needed for s in history.settings] == [1, 2]
    confirmed = history.acknowledged(ANY_1, 3)
    assert confirmed.texts == (ANY_1,)
    assert confirmed.read_ns == 3


def test_a_change_and_a_change_back_count_all_that_was_read_in_between() -> None:
    history = SettingsHistory().acknowledged(ANY_1, 1).read("", 2).read(ANY_1, 3)
    assert history.current == ANY_1
    assert history.read(ANY_1, 4).pending == history.pending
    assert set(history.texts) == {ANY_1, ""}
    assert any(not setting.synchronous for setting in history.settings)


def test_the_same_setting_read_again_only_renews_its_age() -> None:
    history = SettingsHistory().acknowledged(ANY_1, 1).read(ANY_1, 9)
    assert history.texts == (ANY_1,)
    assert history.read_ns == 9


def test_a_setting_that_can_not_be_parsed_proves_nothing() -> None:
    history = SettingsHistory().acknowledged("ANY 1 (", 1)
    assert [s.synchronous for s in history.settings] == [False]
