"""`make bench-core` measures what it says: a primary that goes down, a whole site, an estate that loads."""

from __future__ import annotations

from bench import core_cost, estate_load


def test_the_last_of_a_site_to_fall_silent_makes_one_root_of_all() -> None:
    found = core_cost.measured(12, 6)
    assert found["roots"] == {"site/dc1": 12}
    assert all(found[kind]["median_ms"] > 0 for kind in ("refresh", "change", "silence"))


def test_the_estate_that_is_loaded_is_read_whole() -> None:
    found = estate_load.measure(12, 1)
    assert found["services"] == 12
    assert found["wall_s"]["median"] > 0
