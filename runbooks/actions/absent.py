"""Stand-ins for ports that a world does not have: each answers with an error that says so."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from model.errors import BalancerError, NameServerError, NodeAccessError, RunbookError
from model.ports import (
    CommandResult,
    HttpAnswer,
    HttpError,
    HttpRequest,
    MysqlSession,
    NoAnswerError,
)


class AbsentHere:
    """model.ports.NodeAccess of a host on which no commands are run."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        raise NodeAccessError("no commands are run on this host", where="this host")

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return shlex.join(argv)


class AbsentHttp:
    """model.ports.Http without a network."""

    async def request(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer:
        raise HttpError("there is no way out over HTTP", sent=False)


class AbsentHaproxy:
    """model.ports.HaproxyApi without a way to any control socket."""

    async def ask(self, socket: str, command: str, *, timeout_s: float) -> str:
        raise BalancerError("there is no way to its control socket from here", where=f"HAProxy at {socket}")


class AbsentNameServers:
    """model.ports.NameServers without a way to any."""

    async def ask(self, server: str, message: bytes, *, timeout_s: float) -> bytes:
        raise NameServerError("there is no way to name servers from here", where=server)


class NoOutputFiles:
    """model.ports.OutputFiles that keeps nothing."""

    async def keep(self, execution: str, name: str, text: str) -> str:
        return ""


def nobody_is_told(
    severity: str, summary: str, detail: str, service: str | None, incident: str | None
) -> str:
    raise RunbookError("there is nobody who could be told", hint="the estate's `pager` says how people are")


class AbsentRedis:
    """`model.ports.Redis` where nothing speaks to Redis, such as in a world that has none."""

    async def ask(
        self,
        service: str,
        target: str,
        commands: Sequence[Sequence[str]],
        *,
        timeout_s: float,
        monitor: bool = False,
    ) -> list[Any]:
        raise NoAnswerError(f"nothing here can speak to {target} of {service}")


class AbsentMysql:
    """`model.ports.Mysql` where nothing speaks to MariaDB, such as in a world that has none."""

    async def connect(self, service: str, member: str, *, role: str, timeout_s: float) -> MysqlSession:
        raise NoAnswerError(f"nothing here can speak to {member} of {service}")
