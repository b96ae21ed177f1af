"""One run of a tour: the primary is killed and comes back, is moved as planned, and goes
home; and it hangs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from controller.demo.daemon import Daemon
from controller.demo.scenario import Tell
from controller.demo.tour import Happening, HappeningResult, follow, result_of
from controller.demo.verdict import Ack
from controller.demo.writer import WriterProcess, judge
from model.errors import BcmError

CRASH: Final = "crash failover"
HANG: Final = "hang failover"
SWITCHOVER: Final = "planned switchover"
FAILBACK: Final = "failback"
_WRITES_BEFORE: Final = 200
_WRITES_AFTER: Final = 100


class Cluster(Protocol):
    """The demo's servers; the service is at home on the first."""

    base: Path
    kept: bool

    @property
    def nodes(self) -> Sequence[Any]: ...

    def primary(self) -> Any:
        """None while there is none, or two."""
        ...

    def keep(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What is the engine's own. estate: by cluster, directory of the state, socket and profile. writer: runs
    the client, by cluster and log. missing: how many acknowledged writes a server lacks. allows_loss: what
    may lose some, since the engine can't prevent it."""

    title: str
    service: str
    cluster: Callable[[], AbstractContextManager[Any]]
    estate: Callable[..., str]
    ready: Callable[[dict[str, Any]], bool]
    writer: Callable[[Any, Path], WriterProcess]
    missing: Callable[[Any, Sequence[Ack]], int]
    allows_loss: frozenset[str] = frozenset()


@dataclass(slots=True)
class PrimaryTour:
    """Use `run` once."""

    kit: Kit
    profile: str
    tell: Tell

    @property
    def allows_loss(self) -> frozenset[str]:
        return self.kit.allows_loss

    def run(self, *, keep: bool = False) -> list[HappeningResult]:
        """Raises BcmError if the product did not do what it must."""
        with ExitStack() as stack:
            cluster = stack.enter_context(self.kit.cluster())
            listed = ", ".join(f"{n.name} 127.0.0.1:{n.port}" for n in cluster.nodes)
            self.tell(f"{self.kit.title} runs on {listed}")
            estate = partial(self.kit.estate, cluster, profile=self.profile)
            daemon = Daemon(cluster.base, self.kit.service, estate, self.kit.ready)
            stack.callback(lambda: None if cluster.kept else daemon.stop())
            daemon.start()
            self.tell("bcm-failover watches; the service is healthy")
            client = self.kit.writer(cluster, cluster.base / "client.log")
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
        self, cluster: Cluster, daemon: Daemon, client: WriterProcess, happening: Happening
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
        missing = partial(self.kit.missing, survivor)
        now_ns = time.monotonic_ns()
        verdict = judge(client.log, missing, since_ns=since_ns, after_ns=at_ns, until_ns=now_ns)
        return result_of(daemon.state_dir, happening, events, verdict)

    def _kill(self, cluster: Cluster) -> int:
        return self._send(cluster, signal.SIGKILL, "is killed")

    def _hang(self, cluster: Cluster) -> int:
        """It keeps its connections, and answers nothing; the product kills it on its node."""
        return self._send(cluster, signal.SIGSTOP, "stands still (SIGSTOP)")

    def _send(self, cluster: Cluster, number: signal.Signals, what: str) -> int:
        primary = cluster.primary()
        if primary is None:
            raise BcmError("there is no primary, or there are two")
        at_ns = time.monotonic_ns()
        primary.kill(number)
        self.tell(f"{primary.name}, the primary, {what}")
        return at_ns

    def _start_again(self, cluster: Cluster) -> None:
        """With the data and the role that it had: nobody has told it that it is no primary any more."""
        gone = next(n for n in cluster.nodes if not n.running)
        gone.start()
        self.tell(f"an operator starts {gone.name} again, which takes itself for the primary")

    def _switch(self, cluster: Cluster, daemon: Daemon, *, home: bool) -> int:
        """To the first server, where the service is at home, or to one that is neither that nor primary."""
        first, *others = (node.name for node in cluster.nodes)
        primary = cluster.primary()
        to = first if home else next(n for n in others if primary is None or n != primary.name)
        at_ns = time.monotonic_ns()
        daemon.ask("POST", f"/v1/services/{self.kit.service}/switchover", {"to": to})
        self.tell(f"a switchover to {to} is asked for")
        return at_ns
