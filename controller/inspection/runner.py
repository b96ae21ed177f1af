"""Makes every check of the catalogue at once, and ends: whatever hangs is told as unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

import structlog

from controller.inspection.catalogue import CATALOGUE, ORDER
from controller.inspection.ground import Ground
from controller.inspection.words import Check, Inspection, Line, Result, Row, in_order
from model.errors import BcmError

log = structlog.get_logger(__name__)

# Far longer than any look takes by itself; a host that hangs in the middle is what it is for.
DEADLINE_S: Final = 60.0

Progress = Callable[[int, int], None]


async def inspect(
    ground: Ground,
    *,
    progress: Progress = lambda _done, _total: None,
    catalogue: Sequence[Check] = CATALOGUE,
    deadline_s: float = DEADLINE_S,
) -> Inspection:
    """progress: (checks that have ended, all of them). The ground is used up by it."""
    began_s = ground.clock.monotonic_s()
    checks = [check for check in catalogue if ground.service is None or check.of_service]
    rows: list[Row] = []
    done = 0

    async def one(check: Check) -> None:
        nonlocal done
        rows.extend([Row(check, line) for line in await _lines(check, ground, deadline_s)])
        done += 1
        progress(done, len(checks))

    progress(0, len(checks))
    try:
        async with asyncio.TaskGroup() as group:
            for check in checks:
                group.create_task(one(check), name=f"inspection {check.name}")
    finally:
        await ground.aclose()
    order = {**ORDER, **{c.name: n for n, c in enumerate(catalogue)}}
    took_ms = round((ground.clock.monotonic_s() - began_s) * 1000)
    return Inspection(ground.service, in_order(rows, order), took_ms)


async def _lines(check: Check, ground: Ground, deadline_s: float) -> list[Line]:
    about = f"service/{ground.service}" if ground.service is not None else "estate"
    lines: list[Line] = []
    try:
        async with asyncio.timeout(deadline_s), aclosing(check.run(ground)) as found:  # type: ignore[type-var]
            async for line in found:
                lines.append(line)  # noqa: PERF401  # what was found before it hung is kept
    except TimeoutError:
        lines.append(Line(about, Result.UNKNOWN, f"it did not end within {deadline_s:g} s"))
    except BcmError as error:
        lines.append(Line(about, Result.UNKNOWN, error.what, error.hint))
    except Exception as error:
        log.exception("a check failed by itself", check=check.name)
        lines.append(Line(about, Result.UNKNOWN, f"the check failed by itself: {type(error).__name__}"))
    return lines
