"""What detection makes of a member or of a declared probe now, for actions that wait for it."""

from __future__ import annotations

from collections.abc import Mapping

from controller.declared import PREFIX, DeclaredProbes
from controller.detect import age
from controller.engines import ENGINES
from controller.supervisor.supervisor import Supervisor
from model.health import ProbeState
from model.ports import Clock, Sighting


def sighting(
    target: str, clock: Clock, supervisors: Mapping[str, Supervisor], declared: DeclaredProbes
) -> Sighting | None:
    """`SERVICE/MEMBER`, by the probe of its engine, or `probe/NAME`. None: nobody watches it."""
    if target.startswith(PREFIX):
        state = declared.states().get(target.removeprefix(PREFIX))
    else:
        service, _, member = target.partition("/")
        state = _of_member(supervisors.get(service), member, clock.monotonic_s())
    if state is None:
        return None
    return Sighting(state.health, state.last.started_s if state.last is not None else None, state.why)


def _of_member(supervisor: Supervisor | None, member: str, now_s: float) -> ProbeState | None:
    if supervisor is None or member not in supervisor.service.members:
        return None
    probe = ENGINES[supervisor.service.engine].probe
    if not probe:
        return None
    state = supervisor.knowledge.state(member, probe)
    if state is None:
        return ProbeState(f"{supervisor.service.name}/{member}", probe)
    return age(state, now_s, supervisor.service.detection)
