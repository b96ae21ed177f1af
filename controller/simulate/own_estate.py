"""A user's own estate, as far as it can be simulated: what is left out or taken otherwise is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from config.endpoints import DsnEndpoint
from config.observers import Observer
from config.postgresql import PostgresqlMember, PostgresqlService
from config.schema import Estate, Service, ServiceMode
from model.errors import UsageError

MODELLED: Final = "postgresql"
# Where a controller stands that nobody has said: a place that no member shares is the best one.
_ROLES: Final = ("witness", "dr", "standby", "primary")


@dataclass(frozen=True, slots=True)
class OwnEstate:
    """ops: the site of the ops host. notes: what is not as in the file, for people. left_out: those of them
    about services that are not there."""

    estate: Estate
    ops: str
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def own_estate(estate: Estate, *, ops: str | None = None, mode: str | None = None) -> OwnEstate:
    """mode: as if every service were in it. Raises UsageError if nothing of it is modelled."""
    services = {s.name: s for s in estate.services.values() if isinstance(s, PostgresqlService)}
    if not services:
        raise UsageError(
            f"nothing in this estate is modelled: its engines are {_engines(estate)}",
            hint=f"the simulator knows the engine {MODELLED}",
        )
    place = _ops(estate, ops)
    ready = {name: _service(s, services, mode) for name, s in services.items()}
    targets = _references(estate, place)
    daemon = estate.daemon.model_copy(update={"reference_targets": targets})
    update = {"services": ready, "daemon": daemon, "observers": _observers(estate, place), "probes": {}}
    left_out = tuple(
        f"{s.name} is left out: its engine, {s.engine}, is not modelled"
        for s in estate.services.values()
        if s.name not in services
    )
    notes = (*left_out, *_notes(estate, place, ops, mode, targets))
    return OwnEstate(estate.model_copy(update=update), place, notes, left_out)


def _engines(estate: Estate) -> str:
    return ", ".join(sorted({str(s.engine) for s in estate.services.values()}))


def _ops(estate: Estate, ops: str | None) -> str:
    if ops is not None:
        if ops not in estate.sites:
            raise UsageError(f"there is no site {ops!r}", hint=f"allowed: {', '.join(estate.sites)}")
        return ops
    if estate.own_site is not None:
        return estate.own_site
    return min(estate.sites.values(), key=lambda site: _ROLES.index(site.role.value)).name


def _observers(estate: Estate, ops: str) -> dict[str, Observer]:
    """This one stands where the ops host is taken to stand."""
    own = estate.observers.get(estate.daemon.name)
    moved = {} if own is None else {own.name: own.model_copy(update={"site": ops})}
    return {**estate.observers, **moved}


def _references(estate: Estate, ops: str) -> tuple[str, ...]:
    """As many as are declared: the first beside the ops host, the others at the other sites in turn."""
    sites = [ops, *(s for s in estate.sites if s != ops)]
    count = min(len(estate.daemon.reference_targets), len(sites))
    return tuple(f"gateway-{site}:53" for site in sites[:count])


def _service(
    service: PostgresqlService, known: dict[str, PostgresqlService], mode: str | None
) -> PostgresqlService:
    nodes = [m.node for s in known.values() for m in s.members.values()]
    members = {name: _member(m, alone=nodes.count(m.node) == 1) for name, m in service.members.items()}
    update = {
        "members": members,
        "depends_on": tuple(name for name in service.depends_on if name in known),
        "mode": ServiceMode(mode) if mode is not None else service.mode,
        "endpoint": DsnEndpoint() if _led(service) else service.endpoint,
    }
    return service.model_copy(update=update)


def _member(member: PostgresqlMember, *, alone: bool) -> PostgresqlMember:
    """Started and stopped by a unit of its own, or by pg_ctl; slots are not modelled."""
    kept = alone and member.control_kind == "systemd"
    return member.model_copy(update={"slot": None, "control": member.control if kept else "pg_ctl"})


def _led(service: Service) -> bool:
    return isinstance(service, PostgresqlService) and not isinstance(service.endpoint, DsnEndpoint)


def _notes(
    estate: Estate, place: str, ops: str | None, mode: str | None, targets: tuple[str, ...]
) -> Iterator[str]:
    if ops is None and estate.own_site is None:
        yield f"the ops host is taken to stand at {place}, since the estate does not say where (--ops SITE)"
    if mode is not None:
        yield f"every service is taken to be in mode {mode}"
    if estate.other_observers:
        others = ", ".join(estate.other_observers)
        yield f"what the other observers ({others}) see is taken to come here: this version does not carry it"
    led = [s.name for s in estate.services.values() if _led(s)]
    if led:
        yield f"the clients of {', '.join(led)} are taken to know every host: what leads them is not modelled"
    if estate.probes:
        yield f"the declared probes ({', '.join(estate.probes)}) are not modelled"
    if targets:
        there = ", ".join(t.removeprefix("gateway-").partition(":")[0] for t in targets)
        yield f"the reference targets are taken to stand at {there}"
    else:
        yield "no reference target is declared, and so none answers for the own network"
    yield "delays and durations are those of the model: read times as a size, not as a promise"
