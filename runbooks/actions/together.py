"""The same work on several members at once, without waiting for ever for the slowest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from model.errors import BcmError
from model.ports import Clock, NoAnswerError, SqlError

T = TypeVar("T")

# Once enough members have answered, the others get this long: more would lengthen the outage for a copy that
# the proof does not need, less would drop a member that is merely a continent away.
STRAGGLER_GRACE_S = 0.2


async def on_each(
    members: Sequence[str],
    work: Callable[[str], Awaitable[T]],
    *,
    clock: Clock,
    deadline_s: float,
    enough: Callable[[Sequence[str]], bool] | None = None,
) -> tuple[dict[str, T], dict[str, str]]:
    """Results by member, and by member why there is none.

    Ends when all have ended, at `deadline_s`, or `STRAGGLER_GRACE_S` after `enough(finished members)` came
    true. Whoever is not done then is cancelled, which closes the session that it was using.
    """
    tasks: dict[asyncio.Task[T], str] = {asyncio.ensure_future(_run(work, m)): m for m in members}
    done: dict[str, T] = {}
    failed: dict[str, str] = {}
    pending = set(tasks)
    end_s = deadline_s
    in_grace = False
    try:
        while pending:
            left_s = end_s - clock.monotonic_s()
            if left_s <= 0:
                break
            finished, pending = await asyncio.wait(
                pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            for task in finished:
                _collect(task, tasks[task], done, failed)
            if enough is not None and not in_grace and enough(list(done)):
                in_grace = True
                end_s = min(end_s, clock.monotonic_s() + STRAGGLER_GRACE_S)
    finally:
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.gather(*pending, return_exceptions=True)
    failed |= {tasks[task]: "no answer in time" for task in pending}
    order = {m: i for i, m in enumerate(members)}
    return _sorted(done, order), _sorted(failed, order)


async def _run(work: Callable[[str], Awaitable[T]], member: str) -> T:
    return await work(member)


def _collect(task: asyncio.Task[T], member: str, done: dict[str, T], failed: dict[str, str]) -> None:
    try:
        done[member] = task.result()
    except BcmError as error:
        failed[member] = error.what
    except SqlError as error:
        failed[member] = explain(error)
    except NoAnswerError as error:
        failed[member] = str(error)


def explain(error: SqlError) -> str:
    """One line for a person, with the SQLSTATE where a server spoke."""
    text = " ".join(str(error).split())
    return f"{error.sqlstate}: {text}" if error.sqlstate else text


def reasons(left_out: Mapping[str, str]) -> str:
    """`; not pg3 (refused), pg4 (…)`, or nothing."""
    listed = ", ".join(f"{member} ({why})" for member, why in left_out.items())
    return f"; not {listed}" if listed else ""


def _sorted(found: Mapping[str, T], order: Mapping[str, int]) -> dict[str, T]:
    return {m: found[m] for m in sorted(found, key=lambda m: order[m])}
