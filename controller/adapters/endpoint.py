"""The client's side of an endpoint: which of several servers takes writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from model.ports import SqlError, SqlSession

# The next server is tried when the one before has failed, or has not answered for so long: a host that is
# silent costs this, not its whole time-out.
STAGGER_S = 0.1
ROUND_PAUSE_S = 0.02

# What libpq asks for target_session_attrs=read-write.
_TAKES_WRITES = "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'"


Connect = Callable[[str, float], Awaitable[SqlSession]]


async def first_writable(
    members: Sequence[str], connect: Connect, timeout_s: float, *, where: str
) -> tuple[str, SqlSession]:
    """The first of `members` that takes writes, with an open session there; asked in order, again and again.

    connect: (member, limit in s) → session. Raises SqlError if there is none by `timeout_s`.
    """
    answers = dict.fromkeys(members, "no answer")
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = await _one_round(members, connect, timeout_s, answers)
                if found is not None:
                    return found
                await asyncio.sleep(ROUND_PAUSE_S)
    except TimeoutError:
        said = "; ".join(f"{member}: {answer}" for member, answer in answers.items())
        raise SqlError(f"{where}: nobody took writes within {timeout_s:g} s ({said})") from None


async def _one_round(
    members: Sequence[str], connect: Connect, limit_s: float, answers: dict[str, str]
) -> tuple[str, SqlSession] | None:
    tries: dict[asyncio.Task[SqlSession | None], str] = {}
    waiting = list(members)
    try:
        while waiting or tries:
            if waiting:
                member = waiting.pop(0)
                attempt = asyncio.create_task(
                    _try(member, connect, limit_s, answers), name=f"endpoint {member}"
                )
                tries[attempt] = member
            stagger_s = STAGGER_S if waiting else None
            done, _ = await asyncio.wait(tries, timeout=stagger_s, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                member = tries.pop(attempt)
                session = attempt.result()
                if session is not None:
                    return member, session
        return None
    finally:
        await _let_go(tries)


async def _let_go(tries: Iterable[asyncio.Task[SqlSession | None]]) -> None:
    """End the attempts, also one that has succeeded in the same instant."""
    for attempt in tries:
        attempt.cancel()
    for result in await asyncio.gather(*tries, return_exceptions=True):
        if result is not None and not isinstance(result, BaseException):
            await result.close()


async def _try(member: str, connect: Connect, limit_s: float, answers: dict[str, str]) -> SqlSession | None:
    try:
        session = await connect(member, limit_s)
    except SqlError as error:
        answers[member] = str(error)
        return None
    try:
        [(takes_writes,)] = await session.query(_TAKES_WRITES, timeout_s=limit_s)
    except SqlError as error:
        answers[member] = str(error)
        await session.close()
        return None
    except BaseException:
        await session.close()
        raise
    if takes_writes:
        return session
    answers[member] = "it is read-only"
    await session.close()
    return None
