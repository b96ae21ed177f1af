"""The controller itself: its journal, its secrets, and whether anybody is told."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from config.secrets import SecretRef
from controller.early_warnings.spoken import size, span
from controller.inspection.ground import Ground
from controller.inspection.words import Line, Result
from controller.store.hostclock import wall_offset_us
from controller.store.verify import verify
from model.errors import BcmError, SecretError
from probes.registry import load_probe_type

_ESTATE = "estate"
_SOCKET_S = 2.0
# The journal of an incident is a few hundred KiB; below this a long one might not fit.
ROOM_OF_JOURNAL = 256 * 1024 * 1024


async def secrets(ground: Ground) -> AsyncIterator[Line]:
    """Each reference is resolved; what it holds is looked at by nobody."""
    found = False
    for about, reference in _references(ground):
        found = True
        try:
            await asyncio.to_thread(ground.secrets.get, reference)
        except SecretError as error:
            yield Line(about, Result.FAILED, f"{reference}: {error.what}", error.hint)
        else:
            yield Line(about, Result.OK, f"{reference} can be read")
    if not found:
        yield Line(_ESTATE, Result.SKIPPED, "no secret is declared")


def _references(ground: Ground) -> Iterator[tuple[str, SecretRef]]:
    """(about, reference), each once."""
    estate, seen = ground.estate, set[str]()
    holders: list[tuple[str, Any]] = [(f"service/{service.name}", service) for service in ground.services()]
    holders += [(f"node/{name}", estate.nodes[name]) for name in ground.node_names()]
    if ground.service is None:
        holders += [(_ESTATE, estate.daemon), (_ESTATE, estate.pager)]
    for entry in estate.probes.values():
        if ground.service in (None, entry.service):
            kind = load_probe_type(entry.type)
            holders.append((entry.about, kind.Options.model_validate(entry.options)))
    for about, holder in holders:
        for reference in _within(holder):
            if str(reference) not in seen:
                seen.add(str(reference))
                yield about, reference


def _within(value: Any) -> Iterator[SecretRef]:
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _within(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _within(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _within(item)


async def leadership(ground: Ground) -> AsyncIterator[Line]:
    if ground.daemon is None:
        path = ground.estate.daemon.socket
        if await asyncio.to_thread(_listens, path):
            yield Line(_ESTATE, Result.OK, f"a daemon listens on {path}; whether it leads was not asked")
            return
        text = "no daemon answers: nothing is watched, and nothing is done by itself"
        yield Line(_ESTATE, Result.FAILED, text, "systemctl start bcm-failover")
    elif ground.daemon.leads:
        yield Line(_ESTATE, Result.OK, "this controller leads")
    else:
        yield Line(_ESTATE, Result.WARNING, f"this controller only observes: {ground.daemon.problem}")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_SOCKET_S)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


async def journal(ground: Ground) -> AsyncIterator[Line]:
    """Every record, the chain of hashes, the anchors; and room for an incident."""
    try:
        report = await asyncio.to_thread(verify, ground.state_dir)
    except BcmError as error:
        yield Line(_ESTATE, Result.UNKNOWN, error.what, error.hint)
    else:
        if report.ok:
            anchored = "" if report.anchored_seq is None else f", anchored up to {report.anchored_seq}"
            yield Line(_ESTATE, Result.OK, f"{report.records} records are what was written{anchored}")
        for problem in report.problems:
            yield Line(_ESTATE, Result.FAILED, problem)
    try:
        free = (await asyncio.to_thread(shutil.disk_usage, ground.state_dir)).free
    except OSError as error:
        yield Line(_ESTATE, Result.UNKNOWN, f"{ground.state_dir}: {error.strerror}")
        return
    text = f"{size(free)} free for the journal in {ground.state_dir}"
    enough = free >= ROOM_OF_JOURNAL
    yield Line(_ESTATE, Result.OK if enough else Result.FAILED, text, "" if enough else "make room there")


async def pager(ground: Ground) -> AsyncIterator[Line]:
    settings = ground.estate.pager
    channels = [n for n, c in (("Alertmanager", settings.alertmanager), ("a program", settings.exec)) if c]
    if not channels:
        yield Line(_ESTATE, Result.FAILED, "the estate names no pager: nobody is told of anything")
        return
    waiting = ground.daemon.undelivered if ground.daemon is not None else 0
    if waiting:
        text = f"{waiting} pages have not been taken by {' and '.join(channels)} yet"
        yield Line(_ESTATE, Result.FAILED, text, "look at the daemon's log: it says what refuses them")
    else:
        yield Line(_ESTATE, Result.OK, f"people are told through {' and '.join(channels)}")


async def push_token(ground: Ground) -> AsyncIterator[Line]:
    pushed = [name for name, entry in ground.estate.probes.items() if entry.type == "heartbeat"]
    if ground.estate.daemon.push_token is not None:
        yield Line(_ESTATE, Result.OK, "a token is declared: alerts and heartbeats can be pushed")
    elif pushed or ground.estate.alerts.rules:
        what = f"heartbeats of {', '.join(pushed)}" if pushed else "the alerts that `alerts.rules` expects"
        yield Line(_ESTATE, Result.FAILED, f"without a token {what} are refused")
    else:
        yield Line(_ESTATE, Result.SKIPPED, "no token is declared, and nothing is expected to be pushed")


async def watchdog(ground: Ground) -> AsyncIterator[Line]:
    if ground.daemon is None:
        yield Line(_ESTATE, Result.SKIPPED, "no daemon answers")
    elif ground.daemon.watchdog_s is None:
        text = "no service manager watches this process: if it hangs, nobody starts it again"
        yield Line(_ESTATE, Result.WARNING, text)
    else:
        yield Line(_ESTATE, Result.OK, f"restarted if it says nothing for {span(ground.daemon.watchdog_s)}")


async def own_network(ground: Ground) -> AsyncIterator[Line]:
    targets = ground.estate.daemon.reference_targets
    references = [name for name, entry in ground.estate.probes.items() if entry.reference]
    if targets or references:
        yield Line(_ESTATE, Result.OK, f"told by {', '.join((*targets, *references))}")
    else:
        text = "no reference target is declared: a fault of this host's own network can't be told apart"
        yield Line(_ESTATE, Result.WARNING, text)


async def own_clock(_ground: Ground) -> AsyncIterator[Line]:
    offset_us = wall_offset_us()
    if offset_us is None:
        yield Line(_ESTATE, Result.WARNING, "no NTP client disciplines this host's clock")
    else:
        yield Line(_ESTATE, Result.OK, f"disciplined, {abs(offset_us)} µs off")
