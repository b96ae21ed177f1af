"""Every gate of DESIGN §8, each made to pass whatever it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mutation import Mutation, Swap, Told

from model.decision import GateResult

# Gate: its function, and situations that it must stop.
_GATES = {
    "mode": ("controller.gates:_mode", "gate-mode-observe"),
    "pause": ("controller.gates:_pause", "gate-paused"),
    "leadership": ("controller.gates:_leadership", "gate-leadership"),
    "observer": ("controller.gates:_observer", "observer-isolated"),
    "observers": ("controller.observer_gates:observers_gate", "observers-one-disagrees"),
    "command": ("controller.gates:_command", "gate-command-external"),
    "order": ("controller.gates:_order", "gate-order"),
    "diagnosis": ("controller.gates:_diagnosis", "only-the-postmaster-hangs"),
    "confirmed": ("controller.gates:_confirmed", "gate-never-seen-up"),
    "flapping": ("controller.gates:_flapping", "gate-flapping"),
    "blocked": ("controller.gates:_blocked", "gate-blocked"),
    "pingpong": ("controller.gates:_pingpong", "gate-pingpong"),
    "budget": ("controller.gates:_budget", "gate-budget"),
    "execution": ("controller.gates:_execution", "gate-execution"),
    "candidate": ("controller.gates:_candidate", "gate-candidate"),
    "rpo": ("controller.gates:_rpo", "gate-rpo-one-standby-unread"),
    "dr": ("controller.observer_gates:dr_gate", "gate-dr"),
    "approval": ("controller.gates:_approval", "gate-approval"),
}


def open_gate(gate: str) -> Callable[..., GateResult]:
    def passes(*_given: Any, **_more: Any) -> GateResult:
        inputs = {"lost": [], "alive": [], "able": [], "undecided": []} if gate == "observers" else {}
        return GateResult(gate, True, "passes whatever it is asked", "", inputs=inputs)

    return passes


GATES_BROKEN = tuple(
    Mutation(f"gate {gate}", "it always passes", [Swap(where, open_gate(gate))], noticed=Told((situation,)))
    for gate, (where, situation) in _GATES.items()
)
