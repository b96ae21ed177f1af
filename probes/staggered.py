"""Several addresses of one name, tried in order without waiting for the dead among them (RFC 8305).

An address that drops packets says nothing until the deadline. Tried one after the other, the ones behind it
would never be asked, and a host that answers would be reported silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from probes.addresses import Address
from probes.os_errors import OwnError

T = TypeVar("T")

# The next address has its turn after this time without an answer, or at once after an error. Short beside the
# shortest time-out of an attempt (0.25 s), long beside a round trip within a site.
TURN_S: Final = 0.1


async def first_to_answer(
    addresses: Sequence[Address],
    attempt: Callable[[Address], Awaitable[T]],
    discard: Callable[[T], None] = lambda _result: None,
) -> T:
    """What the first `attempt` that succeeds brings; the others are ended, and what they had is discarded.

    Raises OSError where all fail: that of the target, if any address got so far, rather than one of our own.
    """
    if len(addresses) == 1:
        return await attempt(addresses[0])
    told: OSError | None = None
    waiting = list(addresses)
    running: dict[asyncio.Future[T], Address] = {}
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop(0)
                running[asyncio.ensure_future(attempt(address))] = address
            done, _ = await asyncio.wait(
                running, timeout=TURN_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            # In the order of the addresses: of two that answer together the first is taken.
            for task in [task for task in running if task in done]:
                error = task.exception()
                if error is None:
                    del running[task]
                    return task.result()
                del running[task]
                if not isinstance(error, OSError):
                    raise error
                if told is None or (isinstance(told, OwnError) and not isinstance(error, OwnError)):
                    told = error
    finally:
        await _ended(list(running), discard)
    assert told is not None  # noqa: S101  # there was an address, and none brought anything
    raise told


async def _ended(tasks: Sequence[asyncio.Future[T]], discard: Callable[[T], None]) -> None:
    """They let go of their sockets at once, so this waits for nobody but the loop."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(result, BaseException):
            discard(result)
