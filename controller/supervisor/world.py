"""What every supervisor of one daemon shares."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.schema import Service
from controller.alerts import Firing
from controller.supervisor.budget import Launching
from controller.supervisor.claims import Claims
from controller.supervisor.desk import FactsKeeper, Signer
from controller.supervisor.executor import Executor
from controller.supervisor.judgement import Judged
from controller.supervisor.knowledge import KEPT_S
from controller.supervisor.ledger import HIGH_WATER_EVERY_S
from controller.supervisor.tap import TappedJournal
from controller.supervisor.trouble import Trouble
from controller.views import DeclaredView
from model.diagnosis import Root
from model.disaster import Command
from model.health import ProbeState
from model.ports import Clock, Lease

Page = Callable[..., object]


def none_declared(_service: str) -> Sequence[DeclaredView]:
    return ()


def no_alerts(_service: str) -> Sequence[Firing]:
    return ()


def no_root(_service: str) -> Root | None:
    return None


def no_endpoint(_service: str) -> Mapping[str, ProbeState]:
    return {}


def nobody_listens(_judged: Judged) -> None:
    pass


def nobody_commands(_service: str) -> Command | None:
    return None


@dataclass(frozen=True, slots=True)
class Observing:
    """Why a controller that does not lead only observes."""

    another_leads: bool
    why: str


@dataclass(frozen=True, slots=True)
class World:
    """page: severity, summary, and by keyword detail, service, incident; returns at once. observing: why this
    controller only observes, and whether another one leads."""

    clock: Clock
    journal: TappedJournal
    lease: Lease
    executor: Executor
    page: Page
    sign: Signer
    boot_id: str
    version: str
    digest: str
    keep_facts: FactsKeeper
    budget_left: Callable[[], int]
    broken_dependencies: Callable[[Service], tuple[str, ...]]
    # Called with the service's primary whenever it is known anew: the canary goes there.
    watch_primary: Callable[[Service, str | None], Coroutine[Any, Any, None]]
    trouble: Trouble
    observing: Callable[[], Observing]
    # What is known of the estate's probes that tell about a service.
    declared: Callable[[str], Sequence[DeclaredView]] = none_declared
    # What fires of a service elsewhere: shown beside its diagnosis, and no input of any decision.
    alerts: Callable[[str], Sequence[Firing]] = no_alerts
    # Seconds: of raw observations that an incident freezes, and between two notes of the high water.
    kept_s: float = KEPT_S
    marks_every_s: float = HIGH_WATER_EVERY_S
    # Shared by all: what is about to be launched counts for the budget before the journal has it.
    launching: Launching = field(default_factory=Launching)
    # Where the trouble of a service comes from, as far as the estate beside it tells.
    root_of: Callable[[str], Root | None] = no_root
    # What declared probes see of a service as its clients do, by their names.
    endpoint: Callable[[str], Mapping[str, ProbeState]] = no_endpoint
    # What the load balancers of a service's endpoint tell, by their control sockets.
    balancers: Callable[[str], Mapping[str, ProbeState]] = no_endpoint
    # Called with each judgement of each turn.
    judged: Callable[[Judged], None] = nobody_listens
    # Shared by all: who has to let whom go first.
    claims: Claims = field(default_factory=Claims)
    # The declared disaster that concerns a service, if one does.
    command: Callable[[str], Command | None] = nobody_commands
