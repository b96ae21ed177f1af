"""Actions come from entry points, one by one, and only those that fit."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest

from model.errors import RunbookError
from runbooks import registry
from tests.runbooks.runbook_world import Lock


class Old(Lock):
    API_VERSION: ClassVar[int] = 0


def test_an_action_is_found_by_its_name() -> None:
    assert registry.action_type("test.lock") is Lock


def test_an_unknown_action_is_answered_with_the_nearest() -> None:
    with pytest.raises(RunbookError, match=r"did you mean 'test\.lock'"):
        registry.action_type("test.lok")


@pytest.mark.parametrize(
    ("found", "what"),
    [(Old, "written for version 0"), (int, "no subclass of Action"), (Lock, "calls itself 'test.lock'")],
)
def test_what_does_not_fit_is_refused_by_name(found: object, what: str) -> None:
    with pytest.raises(RunbookError, match=what):
        registry.checked("addon", "addon:Thing", found)


def test_an_action_that_can_not_be_loaded_breaks_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    points = dict(registry._points())
    points["broken"] = EntryPoint("broken", "no_such_module:Action", registry.GROUP)
    monkeypatch.setattr(registry, "_points", lambda: points)
    with pytest.raises(RunbookError, match="can't be loaded from no_such_module"):
        registry.action_type("broken")
    assert "broken" in registry.action_names()
    assert registry.action_type("test.set").name == "test.set"
