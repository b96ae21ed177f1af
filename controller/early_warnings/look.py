"""Makes the scene of what the supervisors and the declared probes know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from controller.declared import DeclaredProbes
from controller.early_warnings.scene import Copy, Scene, ServiceScene, Watched
from controller.engines import ENGINES
from controller.supervisor.judgement import redundancy_missing
from controller.supervisor.member_probes import patience_s
from controller.supervisor.supervisor import Supervisor
from controller.views import CANARY, MemberView, ServiceView
from model.health import Health
from model.ports import Clock


def look(clock: Clock, supervisors: Mapping[str, Supervisor], declared: DeclaredProbes) -> Scene:
    return Scene(
        now_s=clock.monotonic_s(),
        wall_s=clock.wall_s(),
        # One after the other as they are looked at: thousands at once would hold up the loop.
        watched=chain(_of_services(list(supervisors.values())), _declared(declared)),
        services=[_service(s) for s in supervisors.values()],
    )


def _of_services(supervisors: Iterable[Supervisor]) -> Iterator[Watched]:
    """Members, and the nodes below them once, whatever runs there."""
    nodes: set[tuple[str, str]] = set()
    for supervisor in supervisors:
        profile = supervisor.service.detection
        for state in supervisor.knowledge.states():
            kind, _, name = state.target.partition("/")
            about = state.target if kind == "node" else f"service/{state.target}"
            if kind == "node":
                if (state.target, state.probe) in nodes:
                    continue
                nodes.add((state.target, state.probe))
            yield Watched(about, name, state, profile.timeout_s, profile.interval_s)


def _declared(declared: DeclaredProbes) -> Iterator[Watched]:
    for entry, state in declared.folded():
        yield Watched(entry.about, entry.name, state, entry.timeout, entry.interval)


def _service(supervisor: Supervisor) -> ServiceScene:
    service, ledger, judged = supervisor.service, supervisor.ledger, supervisor.judged
    primary = ledger.primary
    state = supervisor.knowledge.state(primary, CANARY) if primary is not None else None
    canary = None
    if state is not None and primary is not None:
        about = f"service/{service.name}/{primary}"
        canary = Watched(about, primary, state, patience_s(service), service.detection.canary_interval_s)
    acked = state.last_good if state is not None else None
    number = acked.facts.get("canary_n") if acked is not None else None
    # While the primary moves everything lags behind and is missing for a moment.
    still = judged is not None and not supervisor.runs.moving and not ledger.moving
    return ServiceScene(
        name=service.name,
        primary=primary,
        rpo_s=service.objectives.rpo,
        standbys=len(service.members) - 1 if ENGINES[service.engine].primaries else 0,
        missing=_missing(supervisor, judged.view) if still and judged is not None else None,
        copies=tuple(_copies(judged.view)) if still and judged is not None else (),
        acked=(number, acked.ended_s) if isinstance(number, int) and acked is not None else None,
        canary=canary,
    )


def _missing(supervisor: Supervisor, view: ServiceView) -> tuple[str, ...] | None:
    """None without a primary that answers, which is more than a warning; and where all that is missing is
    what could not be found out (S6)."""
    primary = view.member(view.primary)
    if primary is None or not primary.leads:
        return None
    unknown = [f"{m.name}: " for m in view.standbys if m.pg.health is Health.UNKNOWN]
    found = redundancy_missing(supervisor.service, supervisor.ledger, view)
    known = tuple(text for text in found if not text.startswith(tuple(unknown)))
    return known if known or not unknown else None


def _copies(view: ServiceView) -> Iterator[Copy]:
    primary = view.member(view.primary)
    current = primary.fact_int("current_lsn") if primary is not None and primary.fresh else None
    for member in view.standbys:
        read = member.pg.last_good
        if member.follows and read is not None:
            yield Copy(member.name, read.ended_s, member.fact_int("canary_n"), _behind(member, current))


def _behind(member: MemberView, current: int | None) -> int | None:
    position = member.fact_int("position")
    return None if current is None or position is None else max(0, current - position)
