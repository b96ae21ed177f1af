"""From the account of a connection to a person of the estate."""

from __future__ import annotations

import pwd
import socket
import struct
from typing import Any

from config.schema import Estate
from controller.api.control import Caller
from model.errors import BcmError

_UCRED = struct.Struct("3i")  # pid, uid, gid: struct ucred of <sys/socket.h>


class NotAllowedError(BcmError):
    """The person, or the account, may not do this."""


def peer_uid(connection: Any) -> int:
    """The uid of the process at the other end of a unix socket, as the kernel recorded it at connect time.

    connection: anything with `getsockopt`. Raises NotAllowedError where the kernel can't say.
    """
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except (OSError, AttributeError) as error:
        raise NotAllowedError("can't tell whose connection this is", where="admin socket") from error
    return int(_UCRED.unpack(raw)[1])


def account_name(uid: int) -> str:
    """Name of the account, or `uid N` where this host knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def resolve_caller(estate: Estate, uid: int, named: str | None) -> Caller:
    """The person behind `uid`; `named` is the person that the request claims to come from.

    root may be anybody, so root says who it is. Everyone else is who the estate's `os_users` say, and can't
    name another. Raises NotAllowedError.
    """
    os_user = account_name(uid)
    if uid == 0:
        return Caller(_named_person(estate, named), os_user)
    person = estate.person_of(os_user)
    if person is None:
        raise NotAllowedError(
            f"the account {os_user!r} is nobody's in the estate",
            where="people",
            hint=f"add {os_user!r} to the os_users of a person in the estate and reload",
        )
    if named is not None and named != person.id:
        raise NotAllowedError(
            f"the account {os_user!r} is {person.id!r} and can't act as {named!r}",
            where="people",
            hint="leave --person out; only root may name a person",
        )
    return Caller(person.id, os_user)


def _named_person(estate: Estate, named: str | None) -> str:
    known = ", ".join(sorted(estate.people)) or "none: declare `people` in the estate"
    if not named:
        raise NotAllowedError(
            "root has to say which person is acting",
            where="people",
            hint=f"add --person ID (or set BCM_PERSON); people of the estate: {known}",
        )
    if named not in estate.people:
        raise NotAllowedError(
            f"no person {named!r} in the estate", where="people", hint=f"people of the estate: {known}"
        )
    return named
