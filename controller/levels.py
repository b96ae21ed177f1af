"""How grave an incident is: rules over scope, importance and elapsed time; the highest that matches. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.durations import format_duration
from config.levels import LevelRule, Levels
from config.services import Importance
from model.diagnosis import Root
from model.level import LEVELS, higher_level

_IMPORTANCE: Final = tuple(Importance)
# Codes that say that more than the one service is out.
_SITE_CODES: Final = frozenset({"SiteDown", "SiteIsolated"})


def scope_of(code: str, root: Root | None = None) -> str:
    """`site` or `service`. root: what lies below the service's outage."""
    return "site" if code in _SITE_CODES or (root is not None and root.is_place) else "service"


def level_of(levels: Levels, scope: str, importance: Importance, elapsed_s: float) -> tuple[str, str] | None:
    """(level, why) by the gravest rule that matches; None if none does."""
    matching = [rule for rule in levels.rules if _matches(rule, scope, importance, elapsed_s)]
    if not matching:
        return None
    rule = max(matching, key=lambda rule: LEVELS.index(rule.level))
    return rule.level, _why(rule)


def raised(
    levels: Levels, level: str, scope: str, importance: Importance, elapsed_s: float
) -> tuple[str, str] | None:
    """(graver level, why) of an incident of `level` after that time; None: it stays. A level never falls."""
    found = level_of(levels, scope, importance, elapsed_s)
    return None if found is None or higher_level(level, found[0]) == level else found


@dataclass(frozen=True, slots=True)
class Due:
    """What people owe an incident of a level. what: confirmation or report. within_s: from the outage on;
    left_s: yet, negative once it is missed. office: by whom it is confirmed, or to whom it is reported."""

    what: str
    within_s: float
    left_s: float
    office: str


def owed(levels: Levels, level: str, elapsed_s: float, *, confirmed: bool, reported: bool) -> list[Due]:
    """What has not been done yet, in time or late."""
    duties = levels.duties(level)
    due = []
    if not confirmed:
        within_s = duties.confirm_within
        due.append(Due("confirmation", within_s, within_s - elapsed_s, duties.confirmed_by))
    if not reported:
        within_s = duties.report_within
        due.append(Due("report", within_s, within_s - elapsed_s, duties.reported_to))
    return due


def told_people(levels: Levels, level: str) -> tuple[str, ...]:
    """Ids of the people whom a page of an incident of this level is for: those who hold its offices."""
    duties = levels.duties(level)
    return levels.holders((duties.commander, duties.confirmed_by, duties.reported_to))


def _matches(rule: LevelRule, scope: str, importance: Importance, elapsed_s: float) -> bool:
    return (
        (rule.scope == "service" or scope == "site")
        and _IMPORTANCE.index(importance) >= _IMPORTANCE.index(rule.importance)
        and elapsed_s >= rule.after
    )


def _why(rule: LevelRule) -> str:
    what = "a whole site is out" if rule.scope == "site" else "the service is out"
    grave = f" of importance {rule.importance.value} or more" if rule.importance is not Importance.LOW else ""
    lasted = f" for {format_duration(rule.after)}" if rule.after else ""
    return f"{what}{grave}{lasted}"
