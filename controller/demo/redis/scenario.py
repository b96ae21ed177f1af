"""One run of the demo on Redis: the primary is killed and comes back, is moved as planned, and goes home."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from controller.demo.daemon import Daemon
from controller.demo.redis.client import RedisClient, judge
from controller.demo.redis.cluster import RedisCluster
from controller.demo.redis.estate import SERVICE, ready, redis_estate
from controller.demo.scenario import Tell
from controller.demo.tour import Happening, HappeningResult, follow, result_of
from model.errors import BcmError

CRASH = "crash failover"
HANG = "hang failover"
SWITCHOVER = "planned switchover"
FAILBACK = "failback"
_WRITES_BEFORE = 200
_WRITES_AFTER = 100


@dataclass(slots=True)
class RedisTour:
    """Use `run` once."""

    profile: str
    tell: Tell

    @property
    def allows_loss(self) -> frozenset[str]:
        """Redis acknowledges before any replica has a write."""
        return frozenset({CRASH, HANG})

    def run(self, *, keep: bool = False) -> list[HappeningResult]:
        """Raises BcmError if the product did not do what it must."""
        with ExitStack() as stack:
            cluster = stack.enter_context(RedisCluster())
            self.tell(f"Redis runs on {', '.join(f'{n.name} 127.0.0.1:{n.port}' for n in cluster.nodes)}")
            estate = partial(redis_estate, cluster, profile=self.profile)
            daemon = Daemon(cluster.base, SERVICE, estate, ready)
            stack.callback(lambda: None if cluster.kept else daemon.stop())
            daemon.start()
            self.tell("bcm-failover watches; the service is healthy")
            client = RedisClient(cluster, cluster.base / "client.log")
            stack.callback(client.stop)
            client.wait_writes(_WRITES_BEFORE)
            happenings = (
                Happening(CRASH, partial(self._kill, cluster), partial(self._start_again, cluster)),
                Happening(SWITCHOVER, partial(self._switch, cluster, daemon, home=False)),
                Happening(FAILBACK, partial(self._switch, cluster, daemon, home=True)),
                Happening(HANG, partial(self._hang, cluster), partial(self._start_again, cluster)),
                Happening(FAILBACK, partial(self._switch, cluster, daemon, home=True)),
            )
            results = [self._measured(cluster, daemon, client, one) for one in happenings]
            if keep:
                cluster.keep()
                self.tell(
                    f"left running below {cluster.base}\n"
                    f"  bcm-failover --socket {daemon.socket} status\n"
                    f"to end it: kill {daemon.pid}; pkill -f {cluster.base}; rm -rf {cluster.base}"
                )
            return results

    def _measured(
        self, cluster: RedisCluster, daemon: Daemon, client: RedisClient, happening: Happening
    ) -> HappeningResult:
        since_ns = time.monotonic_ns()
        client.wait_writes(_WRITES_AFTER)  # so that there is something that could be lost
        try:
            at_ns, events = follow(daemon.state_dir, happening, self.tell)
        except BcmError as error:
            raise BcmError(f"{error.what}:\n{daemon.log_tail()}") from error
        client.wait_writes(_WRITES_AFTER)
        survivor = cluster.primary()
        if survivor is None:
            raise BcmError("there is no primary, or there are two")
        verdict = judge(client.log, survivor, since_ns=since_ns, after_ns=at_ns, until_ns=time.monotonic_ns())
        return result_of(daemon.state_dir, happening, events, verdict)

    def _kill(self, cluster: RedisCluster) -> int:
        return self._send(cluster, signal.SIGKILL, "is killed")

    def _hang(self, cluster: RedisCluster) -> int:
        """It keeps its connections, and answers nothing; the product kills it on its node."""
        return self._send(cluster, signal.SIGSTOP, "stands still (SIGSTOP)")

    def _send(self, cluster: RedisCluster, number: signal.Signals, what: str) -> int:
        primary = cluster.primary()
        if primary is None:
            raise BcmError("there is no primary, or there are two")
        at_ns = time.monotonic_ns()
        primary.kill(number)
        self.tell(f"{primary.name}, the primary, {what}")
        return at_ns

    def _start_again(self, cluster: RedisCluster) -> None:
        """With the data and the role that it had: nobody has told it that it is no primary any more."""
        gone = next(n for n in cluster.nodes if not n.running)
        gone.start()
        self.tell(f"an operator starts {gone.name} again, which takes itself for the primary")

    def _switch(self, cluster: RedisCluster, daemon: Daemon, *, home: bool) -> int:
        """To the first server, where the service is at home, or to one that is neither that nor primary."""
        first, *others = (node.name for node in cluster.nodes)
        primary = cluster.primary()
        to = first if home else next(n for n in others if primary is None or n != primary.name)
        at_ns = time.monotonic_ns()
        daemon.ask("POST", f"/v1/services/{SERVICE}/switchover", {"to": to})
        self.tell(f"a switchover to {to} is asked for")
        return at_ns
