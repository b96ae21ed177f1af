"""How grave an incident is: rules over scope, importance and elapsed time; the highest that matches. Pure."""

from __future__ import annotations

from typing import Final

from config.durations import format_duration
from config.levels import LevelRule, Levels
from config.services import Importance
from model.diagnosis import Root
from model.level import LEVELS

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


def missed_deadlines(
    levels: Levels, level: str, elapsed_s: float, *, confirmed: bool, reported: bool
) -> list[tuple[str, float, str]]:
    """[(what, within how many seconds, by or to which office)] of what people should have done by now."""
    duties = levels.duties(level)
    missed = []
    if not confirmed and elapsed_s > duties.confirm_within:
        missed.append(("confirmation", duties.confirm_within, duties.confirmed_by))
    if not reported and elapsed_s > duties.report_within:
        missed.append(("report", duties.report_within, duties.reported_to))
    return missed


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
