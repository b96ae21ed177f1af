"""Three network namespaces in a row, for tests: this thread's, a router's, and a server's behind it.

here 10.1.0.2, fd01::2 | 10.1.0.1, fd01::1 router 10.2.0.1, fd02::1 | 10.2.0.2, fd02::2 server
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.network_namespace import in_namespace

ROUTER, ROUTER_6 = "10.1.0.1", "fd01::1"
SERVER, SERVER_6 = "10.2.0.2", "fd02::2"
LINK, ROUTERS_LINK = "up0", "down0"  # between here and the router
# No limit on how often errors are told: the packets of a trace come all at once.
_ROUTING = """
ip link set lo up
echo 0 > /proc/sys/net/ipv4/icmp_ratelimit
echo 0 > /proc/sys/net/ipv6/icmp/ratelimit
echo 0 > /proc/sys/net/ipv6/conf/default/dad_transmits
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo
exec sleep 600
"""


@dataclass(frozen=True)
class Host:
    """A namespace, kept by a process that sleeps in it."""

    pid: int

    def run(self, *words: str) -> None:
        _run("nsenter", f"--net=/proc/{self.pid}/ns/net", *words)


@dataclass(frozen=True)
class Routed:
    router: Host
    server: Host


def in_routed_network(
    main: Callable[[Routed], Coroutine[Any, Any, None]],
    *,
    runner: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
    ping_group_range: str = "0 2147483647",
    may_ping: bool = True,
) -> None:
    """Run `main` here; skips the test where no namespace or link can be made."""

    async def connected() -> None:
        with _host() as router, _host() as server:
            try:
                _connect(router, server)
            except (OSError, subprocess.CalledProcessError) as exc:
                pytest.skip(f"no link can be made here (Debian: apt-get install iproute2): {exc}")
            await main(Routed(router, server))

    # Addresses are to be there at once.
    settings = {"ipv4/ping_group_range": ping_group_range, "ipv6/conf/default/dad_transmits": "0"}
    in_namespace(connected, settings, runner=runner, may_ping=may_ping)


@contextmanager
def _host() -> Iterator[Host]:
    process = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", _ROUTING], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "no namespace"
        yield Host(process.pid)
    finally:
        process.kill()
        process.communicate()


def _connect(router: Host, server: Host) -> None:
    _link(_run, LINK, ROUTERS_LINK, router)
    _link(router.run, "up1", "down1", server)
    _address(_run, LINK, "10.1.0.2/24", "fd01::2/64")
    _address(router.run, ROUTERS_LINK, "10.1.0.1/24", "fd01::1/64")
    _address(router.run, "up1", "10.2.0.1/24", "fd02::1/64")
    _address(server.run, "down1", "10.2.0.2/24", "fd02::2/64")
    _ways_out(_run, ROUTER, ROUTER_6)
    _ways_out(server.run, "10.2.0.1", "fd02::1")


def _link(run: Callable[..., None], here: str, there: str, other: Host) -> None:
    run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", str(other.pid))


def _address(run: Callable[..., None], link: str, ipv4: str, ipv6: str) -> None:
    run("ip", "address", "add", ipv4, "dev", link)
    run("ip", "address", "add", ipv6, "dev", link, "nodad")
    run("ip", "link", "set", link, "up")


def _ways_out(run: Callable[..., None], ipv4: str, ipv6: str) -> None:
    run("ip", "-4", "route", "add", "default", "via", ipv4)
    run("ip", "-6", "route", "add", "default", "via", ipv6)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
