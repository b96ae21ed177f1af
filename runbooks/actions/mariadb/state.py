"""What a member says of itself: its role, whom it follows, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.gtid import Gtids, Logged, compared, format_gtids, furthest, parse_gtids, parse_logged
from probes.mariadb_facts import ASK_SOURCES, ASK_STATUS, ASK_VARIABLES, by_name, facts_of
from runbooks.actions.base import StepContext
from runbooks.actions.mariadb.asking import ANSWER_S, Asking, looking


@dataclass(frozen=True, slots=True)
class MariadbState:
    """One reading. received: all that it has been sent, applied or not; applied: what a reader finds."""

    member: str
    facts: Mapping[str, Any]

    @property
    def sources(self) -> list[dict[str, Any]]:
        return list(self.facts.get("sources") or [])

    @property
    def replicates(self) -> bool:
        """It is told to follow somebody, whether it does or not."""
        return bool(self.sources)

    @property
    def read_only(self) -> bool:
        return self.facts.get("read_only") is True

    @property
    def primary(self) -> bool:
        return not self.replicates and not self.read_only

    @property
    def receiving(self) -> bool:
        return any(s["io_running"] for s in self.sources)

    @property
    def applying(self) -> bool:
        return bool(self.sources) and all(s["sql_running"] for s in self.sources)

    @property
    def hears(self) -> bool:
        return self.replicates and self.receiving and self.applying

    @property
    def fault(self) -> str:
        """What its replication says is wrong; '' if nothing."""
        return next((str(s[k]) for s in self.sources for k in ("io_error", "sql_error") if s[k]), "")

    @property
    def applied(self) -> Gtids:
        return furthest(self._gtids("gtid_current_pos"), self._gtids("gtid_binlog_pos"))

    @property
    def received(self) -> Gtids:
        io = [parse_gtids(str(s["gtid_io_pos"] or "")) for s in self.sources]
        return furthest(self.applied, *io)

    @property
    def logged(self) -> Logged:
        return parse_logged(str(self.facts.get("gtid_binlog_state") or ""))

    @property
    def server_id(self) -> int | None:
        return self._number("server_id")

    @property
    def uptime_s(self) -> int | None:
        return self._number("uptime_s")

    def _number(self, name: str) -> int | None:
        value = self.facts.get(name)
        return value if isinstance(value, int) else None

    def _gtids(self, name: str) -> Gtids:
        return parse_gtids(str(self.facts.get(name) or ""))

    def follows(self, host: str, port: int) -> bool:
        return [(s["host"], s["port"]) for s in self.sources] == [(host, port)]

    def position(self, domain: int) -> dict[str, object]:
        """For an output: `gtid`, and what is compared of it (see model.gtid.compared)."""
        rest, sequence = compared(self.received, domain)
        return {"gtid": format_gtids(self.received), "rest": rest, "sequence": sequence}


async def state_over(asking: Asking) -> MariadbState:
    """Raises NoAnswerError, DeclinedError."""
    variables = by_name(await asking.query(ASK_VARIABLES, within_s=ANSWER_S))
    status = by_name(await asking.query(ASK_STATUS, within_s=ANSWER_S))
    sources = await asking.query(ASK_SOURCES, within_s=ANSWER_S)
    return MariadbState(asking.member, facts_of(variables, status, sources))


async def read_state(ctx: StepContext, member: str, deadline_s: float) -> MariadbState:
    """Over a fresh session. Raises NoAnswerError, DeclinedError."""
    async with looking(ctx, member, deadline_s) as asking:
        return await state_over(asking)
