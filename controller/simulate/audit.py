"""What may never happen, looked at while the world runs: the rules S1 to S14 against what truly is. What an
execution as a whole may break is in `audit_journal`.

The audit sees all that the product can't: every server's log, every acknowledgement, every session.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from controller.simulate.postgres import CONNINFO
from controller.simulate.replication import parsed
from controller.simulate.wal import FULL_BYTES, Branch, Write, has
from model import events as ev
from runbooks.actions.postgresql.locks import APPLICATION_PREFIX

if TYPE_CHECKING:
    from controller.simulate.postgres import Backend, Postgres
    from controller.simulate.world import World

_OURS: Final = "bcm-failover:"
# Between the last look at the primary and the promotion nothing but the intent is written.
_LOOKED_S: Final = 0.5
# What was sent while an execution was open may arrive so much later: the way there, and a jitter.
_FLIGHT_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, when (seconds of the world), and how."""

    rule: str
    at_s: float
    what: str


class Audit:
    """`violations` is what the world was run for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[Violation] = []
        self.notes: list[tuple[float, str]] = []
        # By service: when the intent of its last promotion was written.
        self.intended_s: dict[str, float] = {}
        self.acked: list[tuple[str, Write]] = []
        self.acked_count: Counter[str] = Counter()
        self.unguarded: Counter[str] = Counter()
        self.promotions: list[tuple[float, str, str, bool]] = []
        self.overridden: set[str] = set()
        # Services whose synchronous setting somebody has loosened by hand, unread by the product so far.
        self.loosened: set[str] = set()
        # By service: when its last execution was closed.
        self.closed_s: dict[str, float] = {}
        # When a write through the endpoint was last acknowledged by a member, and when it was last detached
        # by us: (service, member) → seconds of the world.
        self.verified: dict[tuple[str, str], float] = {}
        self.detached: dict[tuple[str, str], float] = {}
        self._highest: dict[tuple[str, str], tuple[Branch, int]] = {}
        self._acked_on: dict[str, dict[Branch, int]] = {}
        self._epochs: dict[tuple[str, str], int] = {}

    def broken(self, rule: str, what: str) -> None:
        self.violations.append(Violation(rule, self._world.timeline.now_s, what))

    def note(self, text: str) -> None:
        """For the story."""
        self.notes.append((self._world.timeline.now_s, text))

    def _called(self, server: Postgres) -> str:
        """Members of two services may have one name."""
        several = len(self._world.estate.services) > 1
        return f"{server.service}/{server.name}" if several else server.name

    # --- from the servers

    def came_up(self, server: Postgres) -> None:
        self.note(f"{self._called(server)} is up, as a {'standby' if server.in_recovery else 'primary'}")

    def acknowledged(self, server: Postgres, write: Write) -> None:
        """By the server; its client may never hear of it."""
        if write.branch.system != self._world.system_of(server.service):
            return  # a stranger's data: no copy of this service, and never followed
        self.acked_count[server.service] += 1
        if write.client == "verify":
            self.verified[server.service, server.name] = self._world.timeline.now_s
        service = self._world.estate.services[server.service]
        if service.objectives.rpo > 0 or server.service in self.overridden:
            return
        others = [o for o in self._world.servers(server.service) if o is not server]
        # A copy that was destroyed while its confirmation was on its way was one.
        copies = [(o.branch, o.flush_lsn) for o in others] + [o.destroyed for o in others if o.destroyed]
        if not any(has(branch, lsn, write) for branch, lsn in copies):
            self.unguarded[server.service] += 1
            self.broken("S3", f"{server.name} acknowledged {write.kind} {write.number} on a single copy")

    def heard(self, service: str, write: Write) -> None:
        """A client was told that its write is there."""
        if write.branch.system != self._world.system_of(service):
            return
        self.acked.append((service, write))
        known = self._acked_on.setdefault(service, {})
        known[write.branch] = max(known.get(write.branch, 0), write.lsn)

    def passed(self, service: str, write: Write, commits: int) -> None:
        """A quiet stretch: so many commits, all acknowledged and on every copy, `write` the last of them."""
        self.acked_count[service] += commits
        self.heard(service, write)

    def promoted(self, server: Postgres) -> None:
        self.note(f"{self._called(server)} is promoted, timeline {server.branch.number}")

    def locked(self, server: Postgres, backend: Backend) -> None:
        """A controller of some epoch has taken the member."""
        key = (server.service, server.name)
        self._epochs[key] = max(self._epochs.get(key, 0), _epoch(backend))

    # --- from the product

    def changed(self, server: Postgres, backend: Backend, name: str, value: str | None) -> None:
        """A setting, or the state of replay."""
        if not backend.application.startswith(_OURS):
            return
        shown = "reset" if value is None else f"= {value[:60]!r}"
        self.note(f"{backend.application} on {self._called(server)}: {name} {shown}")
        if name == CONNINFO and value == "":
            self.detached[server.service, server.name] = self._world.timeline.now_s
        self._may_touch(server, backend, f"set {name}")

    def promotion_issued(self, server: Postgres, backend: Backend) -> None:
        ours = backend.application.startswith(_OURS)
        self.note(f"{backend.application} on {self._called(server)}: pg_promote")
        self.promotions.append((self._world.timeline.now_s, server.service, server.name, ours))
        if not ours:
            return
        self._may_touch(server, backend, "pg_promote")
        service = self._world.estate.services[server.service]
        if server.service in self.loosened:
            # A loosening in an interval that nobody could read is what the evidence states as assumed (P2).
            self.note("what was acknowledged under a setting that nobody could read is assumed to be nothing")
            self.overridden.add(server.service)
        if server.service in self.overridden:
            return
        self._fenced(server)
        self._silent(server, backend)
        if service.objectives.rpo == 0:
            self._complete(server)
        if service.members[server.name].excluded:
            self.broken("P4", f"{server.name} is excluded, and was promoted")

    def promotion_by_others(self, server: Postgres) -> None:
        self.promotions.append((self._world.timeline.now_s, server.service, server.name, False))

    def node_change(self, node: str, what: str) -> None:
        self.note(f"on {node}: {what}")

    def _may_touch(self, server: Postgres, backend: Backend, what: str) -> None:
        if server.other_manager not in (None, self._world.service_of(server).manager):
            self.broken("S14", f"{what} on {server.name}, which {server.other_manager} manages")
        if not backend.locked:
            self.broken("P7", f"{what} on {server.name}, over a session that does not hold the lock there")
        epoch = _epoch(backend)
        known = self._epochs.get((server.service, server.name), 0)
        if epoch < known:
            self.broken(
                "S4", f"a controller of epoch {epoch} {what} on {server.name}, which {known} has taken"
            )
        events = self._world.store.read(0, None, server.service, None, None)
        opened = {e.execution for e in events if e.type == ev.EXECUTION_OPENED}
        closed = {e.execution for e in events if e.type == ev.EXECUTION_CLOSED}
        begun = {e.execution for e in events if e.type in (ev.STEP_INTENT, ev.UNDO_INTENT)}
        now_s = self._world.timeline.now_s
        on_its_way = now_s - self.closed_s.get(server.service, -_FLIGHT_S) < _FLIGHT_S
        if not (opened - closed) & begun and not on_its_way:
            self.broken("S5", f"{what} on {server.name}, and no intent is on disk")

    def _fenced(self, candidate: Postgres) -> None:
        """Nobody else may be able to acknowledge a write that the candidate lacks (S2)."""
        for other in self._world.servers(candidate.service):
            if other is candidate or other.in_recovery or not other.running or not other.host.up:
                continue
            if other.branch.system != candidate.branch.system:
                continue
            if can_confirm(other) and not has(candidate.branch, candidate.flush_lsn, _last(other)):
                self.broken("S2", f"{candidate.name} is promoted while {other.name} can acknowledge writes")

    def _silent(self, candidate: Postgres, backend: Backend) -> None:
        """Who answers is not dead (S6): the last look was made just before the intent was written. From then
        on it goes forward (P6), however long its controller stands still."""
        now_s = self._world.timeline.now_s
        since_intent_s = now_s - self.intended_s.get(candidate.service, now_s)
        patience_s = since_intent_s + _LOOKED_S + 3 * self._world.store.slow_s
        for other in self._world.servers(candidate.service):
            # One that an earlier failover left behind is no primary of this service any more.
            primary = other is not candidate and not other.in_recovery and other.branch is candidate.branch
            if primary and answers(other, backend.client_host, patience_s):
                self.broken("S6", f"{candidate.name} is promoted, and {other.name} has answered all the time")

    def _complete(self, candidate: Postgres) -> None:
        """What clients were told, the candidate has (S3)."""
        for branch, lsn in self._acked_on.get(candidate.service, {}).items():
            limit = candidate.branch.limit_on(branch, candidate.flush_lsn)
            if self._on_lineage(candidate, branch) and (limit is None or limit < lsn):
                self.broken("S3", f"{candidate.name} is promoted without acknowledged writes up to {lsn}")

    def _on_lineage(self, candidate: Postgres, branch: Branch) -> bool:
        """A branch that was given up before counts no more: what was lost with it was said then."""
        return branch.system == candidate.branch.system

    # --- at the end

    def lost(self, service: str, survivor: Postgres) -> list[Write]:
        """Writes that a client was told of and that the survivor lacks."""
        return [w for s, w in self.acked if s == service and not has(survivor.branch, survivor.flush_lsn, w)]


def answers(server: Postgres, host: str, for_s: float) -> bool:
    """Has it answered whoever asked from this host for so long already, and does it now? Its disk has room:
    one that is full is out although it answers (P16)."""
    network, now_s = server.world.network, server.world.timeline.now_s
    ways = ((host, server.host.name), (server.host.name, host))
    return (
        server.process.value == "up"
        and not (server.frozen or server.postmaster_stopped)
        and server.free_bytes > FULL_BYTES
        and now_s - max(server.started_s, server.went_on_s, server.roomy_s) > for_s
        and all(network.open(*way) and way not in network.slow_s for way in ways)
        and all(way not in network.loss and now_s - network.mended_s.get(way, -for_s) > for_s for way in ways)
    )


def can_confirm(server: Postgres, for_s: float | None = None) -> bool:
    """Has it enough living streams to acknowledge a commit, now or when it wakes? for_s: and has everybody
    at their ends answered it for so long already?"""
    names = server.live.get("synchronous_standby_names", "")
    if not names:
        return server.live.get("default_transaction_read_only") != "on"
    setting = parsed(names)
    if not setting.synchronous:
        return True
    wanted = {n.lower() for n in setting.names}
    senders = [s for s in server.senders if s.application_name.lower() in wanted]
    if for_s is not None and setting.method == "FIRST":
        # A commit waits for the first of those that are connected, as long as the server believes in them.
        order = [n.lower() for n in setting.names]
        senders = sorted(senders, key=lambda s: order.index(s.application_name.lower()))[: setting.k]
    alive = [
        s
        for s in senders
        if s.downstream.standby.stream is s
        and s.downstream.running
        and s.downstream.host.up
        and (for_s is None or answers(s.downstream, server.host.name, for_s))
    ]
    return len(alive) >= setting.k


def _last(server: Postgres) -> Write:
    """A write that it would make next."""
    return Write(server.branch, server.flush_lsn + 1, "next", 0)


def _epoch(backend: Backend) -> int:
    text = backend.application.removeprefix(APPLICATION_PREFIX)
    return int(text) if text.isdigit() else 1 << 30
