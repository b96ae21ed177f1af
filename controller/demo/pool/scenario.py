"""One run of the demo of a pool: a member is drained for maintenance and put back, another one crashes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from controller.demo import processes
from controller.demo.cluster import free_ports
from controller.demo.daemon import Daemon
from controller.demo.haproxy import DemoHaproxy
from controller.demo.janitor import Janitor
from controller.demo.pool.client import Counted, PoolClient
from controller.demo.pool.estate import SERVICE, pool_estate, ready
from controller.demo.pool.web import Web
from controller.demo.scenario import Tell, sentence
from controller.demo.servers import server_account
from controller.store.reader import read_events
from model import events as ev
from model.errors import BcmError
from model.events import Event

NAMES: Final = ("web1", "web2", "web3")
DRAIN: Final = "planned drain"
RESTORE: Final = "planned restore"
CRASH: Final = "crash"
RETURN: Final = "return after the crash"
TIMEOUT_S: Final = 20.0
_ASKED_BEFORE: Final = 200
_SETTLE_S: Final = 0.5  # of requests after the last record
# A server that refuses is tried no second time: the request goes to another one at once.
_BALANCING: Final = ("balance roundrobin", "option redispatch 1", "retries 3")


@dataclass(frozen=True, slots=True)
class PoolResult:
    """done_s: from the beginning until HAProxy had been told and had answered, as the journal says."""

    name: str
    client: Counted
    done_s: float
    execution: str | None

    @property
    def good(self) -> bool:
        """What is planned costs nobody anything; a crash costs what was under way."""
        allowed = 1 if self.name == CRASH else 0
        return self.client.failed_intervals <= allowed

    def to_json(self) -> dict[str, Any]:
        return {
            "happening": self.name,
            "requests": self.client.requests,
            "failed": self.client.failed,
            "failed_intervals": self.client.failed_intervals,
            "failed_s": round(self.client.failed_s, 3),
            "faults": list(self.client.faults),
            "done_s": round(self.done_s, 3),
            "execution": self.execution,
        }


class PoolTour:
    """Use `run` once. `keep` leaves everything running and says how to look at it."""

    def __init__(self, profile: str, tell: Tell) -> None:
        self._profile = profile
        self._tell = tell

    def run(self, *, keep: bool = False) -> list[PoolResult]:
        """Raises BcmError if the product did not do what it must."""
        base = Path(tempfile.mkdtemp(prefix="bcm-demo-"))
        janitor = Janitor(base, server_account().uid)
        with ExitStack() as stack:
            stack.callback(lambda: janitor.keep() if keep else janitor.clean())
            base.chmod(0o755)
            webs = self._webs(base, stack, keep=keep)
            balancer = self._balancer(base, webs, stack, keep=keep)
            estate = partial(pool_estate, list(webs.values()), balancer, profile=self._profile)
            daemon = Daemon(base, SERVICE, estate, ready)
            stack.callback(lambda: None if keep else daemon.stop())
            daemon.start()
            self._tell("bcm-failover watches; every member is up")
            client = PoolClient(balancer.port)
            stack.callback(client.stop)
            client.start()
            self._asked(client, _ASKED_BEFORE)
            results = self._happenings(webs, daemon, client)
            if keep:
                self._tell(
                    f"left running below {base}\n"
                    f"  bcm-failover --socket {daemon.socket} status\n"
                    f"to end it: kill {daemon.pid}; pkill -f {base}; rm -rf {base}"
                )
            return results

    def _happenings(self, webs: dict[str, Web], daemon: Daemon, client: PoolClient) -> list[PoolResult]:
        first, second = webs["web1"], webs["web2"]

        def ask(kind: str) -> None:
            daemon.ask("POST", f"/v1/services/{SERVICE}/{kind}", {"member": second.name})
            self._tell(f"{kind} {second.name}: asked for")

        results = [self._measured(DRAIN, "http-pool-drain", lambda: ask("drain"), daemon, client)]
        second.kill()
        self._tell(f"{second.name} is stopped, as for an upgrade")
        self._must_not_serve(second, client)
        second.start()
        self._tell(f"{second.name} runs again")
        daemon.wait(ready, TIMEOUT_S, f"see {second.name} up")
        results.append(self._measured(RESTORE, "http-pool-restore", lambda: ask("restore"), daemon, client))
        results.append(self._measured(CRASH, "http-pool-drain", lambda: self._kill(first), daemon, client))
        results.append(self._measured(RETURN, "http-pool-restore", first.start, daemon, client))
        return results

    def _measured(
        self, name: str, runbook: str, begin: Callable[[], None], daemon: Daemon, client: PoolClient
    ) -> PoolResult:
        """Until the runbook has run for it, and a moment longer."""
        before = read_events(daemon.state_dir)
        since = before[-1].seq if before else 0
        at_ns = time.monotonic_ns()
        begin()
        try:
            told = self._follow(daemon.state_dir, since, at_ns, runbook)
        except BcmError as error:
            raise BcmError(f"`{name}`: {error.what}\n{daemon.log_tail()}") from error
        time.sleep(_SETTLE_S)
        opened = next(e for e in told if e.type == ev.EXECUTION_OPENED and e.data.get("runbook") == runbook)
        closed = next(e for e in told if e.type == ev.EXECUTION_CLOSED and e.execution == opened.execution)
        if closed.data.get("state") != "succeeded":
            raise BcmError(
                f"`{name}`: {runbook} ended {closed.data.get('state')}: {closed.data.get('reason')}"
            )
        counted = client.counted(at_ns, time.monotonic_ns())
        return PoolResult(name, counted, (closed.mono_ns - at_ns) / 1e9, opened.execution)

    def _follow(self, state_dir: Path, since: int, at_ns: int, runbook: str) -> list[Event]:
        """Tell what the journal says, until that runbook has come to its end. Raises BcmError."""
        seen: list[Event] = []
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            fresh = list(read_events(state_dir, since_seq=seen[-1].seq if seen else since))
            for event in fresh:
                line = sentence(event, at_ns)
                if line:
                    self._tell(line)
            seen += fresh
            ours = {
                e.execution
                for e in seen
                if e.type == ev.EXECUTION_OPENED and e.data.get("runbook") == runbook
            }
            if any(e.type == ev.EXECUTION_CLOSED and e.execution in ours for e in seen):
                return seen
            time.sleep(0.02)
        raise BcmError(f"{runbook} was not over after {TIMEOUT_S:g} s")

    def _must_not_serve(self, web: Web, client: PoolClient) -> None:
        since_ns = time.monotonic_ns()
        self._asked(client, 50)
        if web.name in client.servers_since(since_ns):
            raise BcmError(f"{web.name} was drained, and answers requests")

    def _kill(self, web: Web) -> None:
        web.kill()
        self._tell(f"{web.name} is killed")

    @staticmethod
    def _asked(client: PoolClient, more: int) -> None:
        target = client.answered() + more
        if not processes.wait_until(lambda: client.answered() >= target, timeout_s=TIMEOUT_S):
            raise BcmError(f"the client got {more} requests not answered within {TIMEOUT_S:g} s")

    def _webs(self, base: Path, stack: ExitStack, *, keep: bool) -> dict[str, Web]:
        webs = {name: Web(base, name) for name in NAMES}
        for web in webs.values():
            if not keep:
                stack.callback(web.stop)
            web.start()
        self._tell(f"nginx runs on {', '.join(f'{w.name} 127.0.0.1:{w.port}' for w in webs.values())}")
        return webs

    def _balancer(self, base: Path, webs: dict[str, Web], stack: ExitStack, *, keep: bool) -> DemoHaproxy:
        [port] = free_ports(1)
        ports = {name: web.port for name, web in webs.items()}
        balancer = DemoHaproxy(base, port, ports, mode="http", behind="", more=_BALANCING)
        stack.callback(lambda: None if keep else balancer.stop())
        balancer.start()
        self._tell(f"HAProxy spreads requests on 127.0.0.1:{port}, without checks of its own")
        return balancer
