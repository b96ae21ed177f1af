"""What a member says of itself: its role, whom it follows, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass

from config.redis import RedisService
from model.ports import NoAnswerError, Refused
from probes.redis_judge import facts_of, parse_info
from runbooks.actions.base import StepContext
from runbooks.actions.redis.asking import ask

INFO = (("INFO", "replication"), ("INFO", "persistence"), ("INFO", "keyspace"))


@dataclass(frozen=True, slots=True)
class RedisState:
    """One reading. replid: of the history that it has; offset: how far it has it, in bytes of the stream.
    upstream: host and port that a replica follows. link_up: it hears it. syncing: it is being given another
    copy, and has none meanwhile. received: so much of that came in, in bytes, or was loaded. keys: how many
    it holds."""

    member: str
    primary: bool
    replid: str
    offset: int
    upstream: tuple[str, int] | None
    link_up: bool
    syncing: bool
    loading: bool
    keys: int
    received: int = 0

    def follows(self, host: str, port: int) -> bool:
        return not self.primary and self.upstream == (host, port)

    @property
    def position(self) -> dict[str, object]:
        """For an output."""
        return {"replid": self.replid, "offset": self.offset}


async def read_state(ctx: StepContext, member: str, deadline_s: float) -> RedisState:
    """Raises NoAnswerError, also where the server refuses to say."""
    replies = await ask(ctx, member, *INFO, deadline_s=deadline_s)
    for reply in replies:
        if isinstance(reply, Refused) or not isinstance(reply, str):
            raise NoAnswerError(f"{member} does not tell: {reply}")
    info = parse_info(*replies)
    facts = facts_of(info)
    host, port = info.get("master_host", ""), info.get("master_port", "")
    return RedisState(
        member=member,
        primary=facts.get("role") == "master",
        replid=str(facts.get("replid", "")),
        offset=int(facts.get("replication_offset", 0)),
        upstream=(host, int(port)) if host and port.isdigit() else None,
        link_up=facts.get("link_up") is True,
        syncing=facts.get("syncing") is True,
        loading=facts.get("loading") is True,
        keys=_keys(info),
        received=sum(_number(info.get(key)) for key in ("master_sync_read_bytes", "loading_loaded_bytes")),
    )


async def is_empty(ctx: StepContext, member: str, deadline_s: float) -> bool:
    """It answers, and holds no key. What does not answer is not known to be empty."""
    try:
        return (await read_state(ctx, member, deadline_s)).keys == 0
    except NoAnswerError:
        return False


def address_of(service: RedisService, member: str) -> tuple[str, int]:
    """As its replicas are told it."""
    found = service.members[member]
    return found.host, found.port


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _keys(info: dict[str, str]) -> int:
    """`db0:keys=5,expires=0,…` of every database."""
    found = 0
    for name, value in info.items():
        keys = value.partition(",")[0].removeprefix("keys=")
        if name.startswith("db") and name[2:].isdigit() and keys.isdigit():
            found += int(keys)
    return found
