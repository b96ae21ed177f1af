"""Are clients led to the primary, and to nobody else? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from config.endpoints import HaproxyEndpoint, endpoint_of
from config.schema import Service
from controller.remedies.remedy import Wayward
from model.health import ProbeState
from runbooks.schema import Kind

KIND = Kind.ENDPOINT.value


def runbook_of(service: Service) -> str | None:
    """That asserts the state of the service's endpoint; None: it has none that is told anything."""
    endpoint = endpoint_of(service)
    return f"endpoint-{endpoint.type}" if endpoint is not None and endpoint.type != "dsn" else None


def misled(service: Service, primary: str | None, balancers: Mapping[str, ProbeState]) -> tuple[str, ...]:
    """What load balancers tell of where they lead clients, and that is not only the primary; () if nothing.
    balancers: by control socket."""
    endpoint = endpoint_of(service)
    if not isinstance(endpoint, HaproxyEndpoint) or primary is None:
        return ()
    members = tuple(service.members)
    return tuple(
        f"{socket}: {text}"
        for socket, state in balancers.items()
        for text in _wrong(endpoint, primary, members, state)
    )


def done_already(service: Service, wayward: Wayward, balancers: Mapping[str, ProbeState]) -> bool:
    """A member of a pool is out of use already, by us or by a person, as all balancers that answer tell."""
    endpoint = endpoint_of(service)
    if not isinstance(endpoint, HaproxyEndpoint) or wayward.kind != Kind.DRAIN.value:
        return False
    told = [s.last.facts.get("servers") for s in balancers.values() if s.last is not None]
    servers = [t.get(endpoint.server_of(wayward.member)) for t in told if isinstance(t, Mapping)]
    words = [str(found.get("status", "")) for found in servers if isinstance(found, Mapping)]
    return bool(words) and all(word.startswith(("MAINT", "DRAIN")) for word in words)


def _wrong(
    endpoint: HaproxyEndpoint, primary: str, members: Sequence[str], state: ProbeState
) -> Iterator[str]:
    servers = state.last.facts.get("servers") if state.last is not None else None
    if not isinstance(servers, Mapping):
        return  # it does not answer: who can't be told is not told
    for member in members:
        found: Any = servers.get(endpoint.server_of(member))
        status = str(found.get("status", "")) if isinstance(found, Mapping) else ""
        if member == primary and status.startswith(("MAINT", "DRAIN")):
            yield f"{member}, the primary, is {status}"
        elif member != primary and status and not status.startswith("MAINT"):
            yield f"{member} is {status}, and is not the primary"
