"""What the operating system said of an attempt: the target's failure, or our own (S6).

The same errno can be either. ENETUNREACH from `connect` itself means that this host has no route: its uplink
is down, and the target was never asked. The same errno later came from a router on the way.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from model.observation import Failure
from probes.base import Reading

# The fact of an `unknown` that names our own trouble as `errno` or `getaddrinfo` do: "EMFILE", "EAI_AGAIN".
LOCAL_ERROR: Final = "local_error"

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
# `getaddrinfo` has numbers of its own.
_RESOLVER_NAMES: Final = {
    value: name for name, value in vars(socket).items() if name.startswith("EAI_") and isinstance(value, int)
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
        return Reading.unknown(Failure.LOCAL, f"on this host: {text}", **{LOCAL_ERROR: _name(error, number)})
    return Reading.failed(failure, text)


def _name(error: OSError, number: int) -> str:
    if isinstance(error, socket.gaierror):
        return _RESOLVER_NAMES.get(number, "EAI_FAIL")
    return errno.errorcode.get(number, "EIO")


def own_error(error: OSError) -> OSError:
    """The error of a `connect` that failed at once: ours, unless the peer refused (loopback does at once)."""
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return error
    return OwnError(error.errno, error.strerror or str(error))
