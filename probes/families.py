"""IPv4 and IPv6 apart: a service may answer over one and be out over the other, and half of its users see it.

`FamilyOptions` gives a type its option `family`; `check_by_family` asks each family and folds what they said.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from model.observation import Failure, Outcome
from probes.addresses import Address
from probes.base import ProbeOptions, Reading
from probes.os_errors import LOCAL_ERROR
from probes.trace import note

Family = Literal["any", "ipv4", "ipv6", "both"]

# Where one family has answered and the other not, the attempt must not fall silent: something there lives.
# A SYN that was lost is sent again after 1 s; an attempt that is judged before that is late, and still told.
PATIENCE_S: Final = 1.5

_NUMBERS: Final[Mapping[str, int]] = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_SHOWN: Final[Mapping[str, str]] = {"ipv4": "IPv4", "ipv6": "IPv6"}

Check = Callable[[Sequence[Address]], Awaitable[Reading]]


class FamilyOptions(ProbeOptions):
    """For every type that connects to a host which may have addresses of both families."""

    family: Family = Field(
        "any",
        description="any: the first address that answers will do. ipv4, ipv6: only addresses of that family."
        " both: each family that the name has must answer.",
    )


def of_family(addresses: Sequence[Address], family: Family) -> list[Address]:
    """Those of one family; all of them for `any` and `both`."""
    number = _NUMBERS.get(family)
    return [address for address in addresses if number is None or address.family == number]


async def check_by_family(addresses: Sequence[Address], family: Family, check: Check) -> Reading:
    """What `check` reads of the addresses that `family` asks for.

    With `both` it is called once for each family, at the same time, and the fact `families` holds what each
    said: name (`ipv4`, `ipv6`) to `outcome`, `failure`, `detail` and the facts of its reading. A name without
    an address of the wanted family is unknown: nobody was asked.
    """
    wanted = of_family(addresses, family)
    if not wanted:
        return Reading.unknown(None, f"it has no {_SHOWN[family]} address")
    if family != "both":
        return await check(wanted)
    groups = {name: of_family(addresses, name) for name in ("ipv4", "ipv6")}
    return folded(await _readings({name: group for name, group in groups.items() if group}, check))


async def _readings(groups: Mapping[str, Sequence[Address]], check: Check) -> dict[str, Reading]:
    """One for each family. Where only some have answered the others are waited for briefly."""
    tasks = {name: asyncio.ensure_future(check(group)) for name, group in groups.items()}
    try:
        while waiting := [task for task in tasks.values() if not task.done()]:
            answered = any(task.done() and task.result().shows_life for task in tasks.values())
            done, _ = await asyncio.wait(
                waiting,
                timeout=PATIENCE_S if answered else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                break
        late = Reading.failed(Failure.SILENT, f"no answer within {PATIENCE_S} s of the other's")
        readings = {name: task.result() if task.done() else late for name, task in tasks.items()}
    finally:
        await _ended(list(tasks.values()))
    for name, reading in readings.items():
        note("over %s: %s %s", _SHOWN[name], reading.outcome, reading.detail)
    return readings


async def _ended(tasks: Sequence[asyncio.Future[Reading]]) -> None:
    """They let go of their sockets at once, so this waits for nobody but the loop."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def folded(readings: Mapping[str, Reading]) -> Reading:
    """One reading of all: good only if each family is.

    A failure of one is told as `bad_answer` where another answered, for then something there lives.
    """
    facts = _facts(readings)
    bad = {name: r for name, r in readings.items() if r.outcome is Outcome.FAILED}
    unsure = {name: r for name, r in readings.items() if r.outcome is Outcome.UNKNOWN}
    if not bad and not unsure:
        return Reading.ok(_details(readings), **facts)
    text = _details(bad | unsure)
    if not bad:
        return Reading.unknown(next(iter(unsure.values())).failure, text, **facts)
    kinds = sorted(bad.values(), key=lambda reading: not reading.shows_life)
    kind = kinds[0].failure or Failure.BAD_ANSWER
    if not kinds[0].shows_life and any(reading.shows_life for reading in readings.values()):
        kind = Failure.BAD_ANSWER
    return Reading.failed(kind, text, **facts)


def _facts(readings: Mapping[str, Reading]) -> dict[str, Any]:
    """Those of the first family that succeeded, and what each said. That this host lacks something is our
    trouble only where no family has it."""
    best = next((r for r in readings.values() if r.outcome is Outcome.SUCCEEDED), None)
    first = best or next(iter(readings.values()))
    ours = all(LOCAL_ERROR in reading.facts for reading in readings.values())
    facts = {key: value for key, value in first.facts.items() if ours or key != LOCAL_ERROR}
    return {**facts, "families": {name: _said(reading) for name, reading in readings.items()}}


def _said(reading: Reading) -> dict[str, Any]:
    failure = {} if reading.failure is None else {"failure": reading.failure.value, "detail": reading.detail}
    return {"outcome": reading.outcome.value, **failure, **reading.facts}


def _details(readings: Mapping[str, Reading]) -> str:
    return "; ".join(f"{_SHOWN[name]}: {r.detail}" for name, r in readings.items() if r.detail)
