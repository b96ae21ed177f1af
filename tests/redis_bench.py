"""Runs Redis' actions and runbooks against real servers: one primary and two replicas, with the ports that
they need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from config.schema import Estate
from controller.adapters.redis import RedisCommands
from controller.demo.redis.resp import RedisWireError, Session
from model.ports import NoAnswerError
from tests.pg_pair import wait_for
from tests.redis_servers import LOOPBACK, RedisServer
from tests.step_bench import StepBench

SERVICE = "cache"
MEMBERS = ("r1", "r2", "r3")


class Servers:
    """r1 is primary; r2 and r3 follow it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by_name: dict[str, RedisServer] = {}
        for name in MEMBERS:
            more = () if name == "r1" else (f"replicaof {LOOPBACK} {self.by_name['r1'].port}",)
            pidfile = f"pidfile {root / name}.pid"
            self.by_name[name] = RedisServer(root, name, pidfile, *more)
        for server in self.by_name.values():
            server.start()
        self.wait_attached("r1", 2)

    def __getitem__(self, name: str) -> RedisServer:
        return self.by_name[name]

    def wait_attached(self, primary: str, count: int) -> None:
        wait_for(
            lambda: self[primary].cli("INFO", "replication").count("state=online") == count,
            f"{count} replicas of {primary}",
        )

    def ask(self, name: str, *words: str) -> Any:
        """None while it does not answer."""
        with suppress(RedisWireError):
            session = Session(self[name].port, 1.0)
            try:
                return session.ask(*words)
            finally:
                session.close()
        return None

    def refusal(self, name: str, *words: str) -> str:
        """The first word of what it answers instead of doing it; '' if it does it."""
        session = Session(self[name].port, 1.0)
        try:
            session.ask(*words)
        except RedisWireError as error:
            return error.kind
        finally:
            session.close()
        return ""

    def role(self, name: str) -> str:
        return str(self.ask(name, "ROLE")[0])

    def follows(self, name: str) -> str:
        """The name of the member that it follows; '' if none."""
        role = self.ask(name, "ROLE")
        ports = {s.port: n for n, s in self.by_name.items()}
        return ports.get(role[2], "") if role[0] == "slave" else ""

    def shape(self, *names: str) -> dict[str, tuple[str, str, str]]:
        """Of each member: its role, whom it follows, its min-replicas-to-write."""
        return {
            n: (self.role(n), self.follows(n), self.ask(n, "CONFIG", "GET", "min-replicas-to-write")[1])
            for n in names or MEMBERS
        }

    def reset(self) -> None:
        """As at first, whatever was done to them."""
        for name, server in self.by_name.items():
            if not server.running:
                server.start()
            self.ask(name, "CLIENT", "UNPAUSE")
            self.ask(name, "CONFIG", "SET", "min-replicas-to-write", "0")
        self.ask("r1", "REPLICAOF", "NO", "ONE")
        self.ask("r1", "SET", "kept", "1")
        for name in ("r2", "r3"):
            self.ask(name, "REPLICAOF", LOOPBACK, str(self["r1"].port))
        wait_for(lambda: all(self.ask(n, "ROLE")[3] == "connected" for n in ("r2", "r3")), "replicas in step")

    def kill(self) -> None:
        for server in self.by_name.values():
            server.kill()


class CuttableRedis(RedisCommands):
    """The product's own, except that `silent` members do not answer; what was sent to `deaf` ones has its
    effect, and the answer is lost."""

    silent: set[str]
    deaf: set[str]

    async def ask(self, service: str, target: str, commands: Any, **kwargs: Any) -> list[Any]:
        if target in self.silent:
            raise NoAnswerError("cut off by the test")
        replies = await super().ask(service, target, commands, **kwargs)
        if target in self.deaf:
            raise NoAnswerError("the answer was lost", outcome_unknown=True)
        return replies


def estate_text(servers: Servers, **changes: Any) -> dict[str, Any]:
    members = {
        name: {
            "node": f"node-{name}",
            "role": "primary" if name == "r1" else "standby",
            "port": server.port,
            "control": f"pidfile:{servers.root / name}.pid",
            **changes.pop(name, {}),
        }
        for name, server in servers.by_name.items()
    }
    redis = {"write_key": "bcm:probe", "restart_grace": "1s", **changes.pop("redis", {})}
    service = {
        "engine": "redis",
        "mode": "act",
        "profile": "fast",
        "objectives": {"rto": "5s", "rpo": "5s"},
        "redis": redis,
        "members": members,
        **changes,
    }
    return {
        "configVersion": 1,
        "daemon": {
            "name": "ops",
            "state_dir": str(servers.root / "state"),
            "socket": str(servers.root / "admin.sock"),
        },
        "sites": {"here": {"role": "primary"}},
        "nodes": {
            f"node-{name}": {"site": "here", "address": LOOPBACK, "access": "local", "ping": False}
            for name in MEMBERS
        },
        "services": {SERVICE: service},
    }


class RedisBench(StepBench):
    """One execution on three servers."""

    redis: CuttableRedis

    def __init__(self, servers: Servers, *, actor: str = "daemon", **changes: Any) -> None:
        self.servers = servers
        made = Estate.model_validate(estate := estate_text(servers, **changes))
        variables = {
            "primary": "r1",
            "standbys": ["r2", "r3"],
            "min_replicas": made.service(SERVICE).redis.min_replicas,  # type: ignore[attr-defined]
        }
        super().__init__(servers.root, estate, SERVICE, variables, actor=actor)
        self.redis = CuttableRedis(self.estate, self.secrets)
        self.redis.silent, self.redis.deaf = set(), set()
        self.bind(redis=self.redis)


@contextmanager
def three(root: Path) -> Iterator[Servers]:
    servers = Servers(root)
    try:
        yield servers
    finally:
        servers.kill()
