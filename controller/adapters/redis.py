"""Commands to Redis servers and Sentinels, each over a connection of its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from config.redis import RedisAccount, RedisMember, RedisService
from config.schema import Estate
from controller.adapters.clock import SystemClock
from model.errors import RunbookError, SecretError
from model.ports import NoAnswerError, Refused, Secrets
from probes.addresses import Addresses
from probes.resp import NoRedisError, RedisError, Reply, command, read_replies
from probes.streams import Stream, open_stream


class RedisCommands:
    """`model.ports.Redis` for one estate. A connection is not kept: each costs a round trip, and a connection
    that is held to a server that hangs tells nothing."""

    def __init__(self, estate: Estate, secrets: Secrets) -> None:
        self._estate = estate
        self._secrets = secrets
        self._addresses: dict[tuple[str, str], Addresses] = {}

    async def ask(
        self,
        service: str,
        target: str,
        commands: Sequence[Sequence[str]],
        *,
        timeout_s: float,
        monitor: bool = False,
    ) -> list[Any]:
        """See `model.ports.Redis.ask`. The connection is shut at the time-out, whatever the server does."""
        where = self._service(service)
        login = self._login(self._account(where, target, monitor=monitor))
        sent = [False]
        try:
            async with asyncio.timeout(max(timeout_s, 0.001)):
                return await self._converse(where, target, commands, login, sent)
        except TimeoutError:
            raise NoAnswerError(
                f"{target}: no answer within {timeout_s:.2f} s", outcome_unknown=sent[0]
            ) from None
        except ConnectionRefusedError:
            raise NoAnswerError(f"{target}: connection refused", refused=True) from None
        except NoRedisError as error:
            raise NoAnswerError(f"{target}: {error}", outcome_unknown=sent[0]) from error
        except OSError as error:
            raise NoAnswerError(f"{target}: {error.strerror or error}", outcome_unknown=sent[0]) from error

    async def _converse(
        self,
        service: RedisService,
        target: str,
        commands: Sequence[Sequence[str]],
        login: bytes,
        sent: list[bool],
    ) -> list[Any]:
        host, port = _address(service, target)
        stream = await self._open(service, host, port)
        try:
            if login:
                await stream.send(login)
                (answer,) = await read_replies(stream, 1)
                if isinstance(answer, RedisError):
                    raise NoAnswerError(f"{target}: {answer}")
            sent[0] = True
            await stream.send(b"".join(command(*words) for words in commands))
            return [_value(reply) for reply in await read_replies(stream, len(commands))]
        finally:
            stream.close()

    async def _open(self, service: RedisService, host: str, port: int) -> Stream:
        known = self._addresses.setdefault((host, str(port)), Addresses(host, port, SystemClock()))
        context = ssl.create_default_context() if service.redis.tls else None
        return await open_stream(await known.get(), context, host)

    def _service(self, name: str) -> RedisService:
        service = self._estate.services[name]
        if not isinstance(service, RedisService):
            raise RunbookError(f"{name} is made of {service.engine}, not of redis")
        return service

    def _account(self, service: RedisService, target: str, *, monitor: bool) -> RedisAccount:
        settings = service.redis
        if target not in service.members:
            return settings.sentinel.account if settings.sentinel is not None else RedisAccount()
        looks = RedisAccount(user=settings.user, password=settings.password)
        return looks if monitor or settings.control is None else settings.control

    def _login(self, account: RedisAccount) -> bytes:
        """Raises NoAnswerError where its secret can't be read: nothing was sent."""
        if account.password is None:
            return b""
        try:
            password = self._secrets.get(account.password)
        except SecretError as error:
            raise NoAnswerError(f"{error.where}: {error.what}") from None
        return command("AUTH", account.user, password) if account.user else command("AUTH", password)


def _address(service: RedisService, target: str) -> tuple[str, int]:
    member = service.members.get(target)
    if isinstance(member, RedisMember):
        return member.host, member.port
    host, _, port = target.rpartition(":")
    return host.strip("[]"), int(port)


def _value(reply: Reply) -> Any:
    if isinstance(reply, RedisError):
        return Refused(str(reply))
    return [_value(part) for part in reply] if isinstance(reply, list) else reply
