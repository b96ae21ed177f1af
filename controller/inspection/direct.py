"""An inspection with the daemon dead: the same checks, from this process. It journals nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from config.loader import LoadedEstate
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import SqlSessions
from controller.declared import DeclaredProbes, subjects_of
from controller.inspection.ground import Ground
from controller.inspection.record import compared, findings_of, latest
from controller.inspection.runner import Progress, inspect
from controller.store.reader import read_events
from controller.supervisor.probing import ProbeFactory
from model import events as ev
from model.errors import BcmError, UsageError


async def inspect_directly(loaded: LoadedEstate, service: str | None, progress: Progress) -> dict[str, Any]:
    """As `InspectionDesk.inspect`. Raises UsageError."""
    estate = loaded.estate
    if service is not None and service not in estate.services:
        raise UsageError(f"no service {service!r}", hint=f"services: {', '.join(estate.services)}")
    nodes = NodeAccesses(estate, SecretStore())
    try:
        found = await inspect(ground_of(loaded, nodes, service), progress=progress)
    finally:
        await nodes.aclose()
    subjects = [] if service is None else subjects_of(estate.services[service], estate)
    try:
        events = await asyncio.to_thread(read_events, estate.daemon.state_dir, types=(ev.INSPECTION_DONE,))
    except BcmError:  # the check of the journal has told it
        events = []
    since = compared(latest(events, service, subjects), findings_of(found))
    return {**found.to_json(), "since": since, "journaled": False}


def ground_of(loaded: LoadedEstate, nodes: NodeAccesses, service: str | None) -> Ground:
    """On the estate alone; the journal is read as it lies on the disk."""
    estate, clock, secrets = loaded.estate, SystemClock(), SecretStore()
    return Ground(
        estate=estate,
        clock=clock,
        secrets=secrets,
        nodes=nodes.all(),
        sql=SqlSessions(estate, secrets),
        probes=ProbeFactory(estate, clock, secrets),
        declared=DeclaredProbes(estate, clock, secrets, nodes.all()),
        read_events=partial(read_events, estate.daemon.state_dir),
        state_dir=estate.daemon.state_dir,
        service=service,
    )
