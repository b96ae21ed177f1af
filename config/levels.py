"""Crisis levels (危机等级 Ⅲ/Ⅱ/Ⅰ): what makes an incident graver, and who commands, confirms and is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from pydantic import Field

from config.approvals import ApprovalRule, Office, ServiceApproval
from config.base import EstateModel, Name
from config.durations import PositiveSeconds, Seconds
from config.services import Importance
from model.level import LEVELS

Level = Literal["III", "II", "I"]
# Procedures of business continuity set two hours for both.
_WITHIN_S: Final = 7200.0


class LevelDuties(EstateModel):
    """Who does what in an incident of one level. Offices are held by people: see `offices`."""

    commander: Office = Field(description="Office that commands.")
    confirmed_by: Office = Field(description="Office that confirms the level.")
    reported_to: Office = Field(description="Office that is reported to.")
    confirm_within: PositiveSeconds = Field(_WITHIN_S, description="From the outage to its confirmation.")
    report_within: PositiveSeconds = Field(_WITHIN_S, description="From the outage to the report.")


class LevelRule(EstateModel):
    """All of it must hold. The highest level whose rule matches wins, and levels only rise."""

    level: Level = Field(description="III (general), II (major) or I (extraordinary).")
    scope: Literal["service", "site"] = Field("service", description="What is out at least.")
    importance: Importance = Field(Importance.LOW, description="Of the service, at least.")
    after: Seconds = Field(0.0, description="Elapsed since the outage, at least.")


# A service that is out is a general incident. One that matters and stays out, or a whole site, is beyond one
# department; a site that stays out, or a critical service for half a day's work, is the company's.
_DEFAULT_RULES: Final = (
    LevelRule(level="III"),
    LevelRule(level="II", importance=Importance.CRITICAL, after=1800.0),
    LevelRule(level="II", importance=Importance.HIGH, after=7200.0),
    LevelRule(level="II", scope="site"),
    LevelRule(level="I", scope="site", importance=Importance.HIGH, after=3600.0),
    LevelRule(level="I", importance=Importance.CRITICAL, after=14400.0),
)


class Levels(EstateModel):
    """How grave an incident is, and what follows from that for people."""

    general: LevelDuties = Field(
        LevelDuties(commander="deputy", confirmed_by="department head", reported_to="deputy"),
        description="Of level III.",
    )
    major: LevelDuties = Field(
        LevelDuties(commander="deputy", confirmed_by="department manager", reported_to="top manager"),
        description="Of level II.",
    )
    extraordinary: LevelDuties = Field(
        LevelDuties(commander="top manager", confirmed_by="deputy", reported_to="top manager"),
        description="Of level I.",
    )
    rules: tuple[LevelRule, ...] = Field(_DEFAULT_RULES, description="What makes an incident how grave.")
    offices: Mapping[Office, tuple[Name, ...]] = Field(
        {}, description="Office → ids of the people who hold it. An office that nobody holds binds nobody."
    )

    approvals: Mapping[Level, ApprovalRule] = Field(
        {}, description="Level → what an approval needs from this level upwards. Without one: one person."
    )

    def approval(self, level: str) -> ApprovalRule:
        """The rule of the level, or of the nearest below it that has one."""
        upto = LEVELS[: LEVELS.index(level) + 1] if level in LEVELS else LEVELS[:1]
        rules = {str(named): rule for named, rule in self.approvals.items()}
        return next((rules[named] for named in reversed(upto) if named in rules), ApprovalRule())

    def approving_offices(self, level: str, own: ServiceApproval) -> tuple[str, ...]:
        """Whose holders may approve at a level, for a service with this rule of its own."""
        duties = self.duties(level)
        offices = own.offices or self.approval(level).offices or (duties.commander, duties.confirmed_by)
        return tuple(dict.fromkeys(offices))

    def holders(self, offices: Iterable[str]) -> tuple[str, ...]:
        """Ids of the people who hold any of them; each once."""
        return tuple(dict.fromkeys(p for office in offices for p in self.offices.get(office, ())))

    def duties(self, level: str) -> LevelDuties:
        """Of III, II or I; a level that is not known counts as general."""
        return {"II": self.major, "I": self.extraordinary}.get(level, self.general)
