"""What the operating system said of an attempt: the target's failure, or our own (S6).

The same errno can be either. ENETUNREACH from `connect` itself means that this host has no route: its uplink
is down, and the target was never asked. The same errno later came from a router on the way.
"""

from __future__ import annotations

import errno
import socket

from model.observation import Failure
from probes.base import Reading

_CONNECT_FAILURES: dict[int, Failure] = {
    errno.ECONNREFUSED: Failure.REFUSED,
    errno.ECONNRESET: Failure.RESET,
    errno.ECONNABORTED: Failure.RESET,
    errno.EPIPE: Failure.RESET,
    errno.ETIMEDOUT: Failure.SILENT,
    errno.EHOSTUNREACH: Failure.UNREACHABLE,
    errno.ENETUNREACH: Failure.UNREACHABLE,
    errno.EHOSTDOWN: Failure.UNREACHABLE,
}


class OwnError(OSError):
    """Failed on this host before anything was sent: whatever the errno, it says nothing of the target."""


def reading_of_os_error(error: OSError) -> Reading:
    """An errno that the target or the network caused is a failure; any other is our own: `unknown`."""
    text = error.strerror or str(error) or type(error).__name__
    ours = isinstance(error, socket.gaierror | OwnError)
    number = error.errno or (errno.ECONNRESET if isinstance(error, ConnectionError) else 0)
    failure = None if ours else _CONNECT_FAILURES.get(number)
    if failure is None:
        return Reading.unknown(Failure.LOCAL, f"on this host: {text}")
    return Reading.failed(failure, text)


def own_error(error: OSError) -> OSError:
    """The error of a `connect` that failed at once: ours, unless the peer refused (loopback does at once)."""
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return error
    return OwnError(error.errno, error.strerror or str(error))
