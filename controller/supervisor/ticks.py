"""When a service is judged though nothing was seen: ageing, expiries and the clock on the wall need no
observation.

Which moments these are does not depend on what happened before: each service has a phase of its own. While
it is calm every fourth will do: news is judged at once in any case, and of thousands of services nearly all
are calm.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, Final

from probes.scheduler_timing import fraction

if TYPE_CHECKING:
    from controller.supervisor.supervisor import Supervisor

TICK_S: Final = 0.25
CALM_TICKS: Final = 4
# A phase in whole parts of a tick that binary fractions hold exactly.
_PHASES: Final = 256
# What is left of a sleep by rounding.
_INSTANT_S: Final = 1e-6


def next_tick_s(service: str, now_s: float) -> float:
    """Monotonic seconds."""
    phase_s = _phase_s(service)
    return phase_s + (_passed(now_s, phase_s) + 1) * TICK_S


def also_if_calm(service: str, now_s: float) -> bool:
    """Is the tick of now one at which a calm service is judged too?"""
    return _passed(now_s, _phase_s(service)) % CALM_TICKS == 0


def _phase_s(service: str) -> float:
    return (int(fraction(service) * _PHASES) + 0.5) / _PHASES * TICK_S


def _passed(now_s: float, phase_s: float) -> int:
    return floor((now_s + _INSTANT_S - phase_s) / TICK_S)


def is_calm(supervisor: Supervisor) -> bool:
    """Was it found well when it was judged last, with nothing open, nothing to repair and nothing to end?"""
    judged, ledger = supervisor.judged, supervisor.ledger
    if judged is None or judged.diagnosis.code != "Healthy" or supervisor.busy or supervisor.turn.locked():
        return False
    if ledger.incident is not None or ledger.open_executions or ledger.blocked or ledger.retired:
        return False
    if ledger.split or ledger.paused_until_ns is not None or ledger.primary not in supervisor.service.members:
        return False
    return judged.view.observer_sane == supervisor.knowledge.observer_sane
