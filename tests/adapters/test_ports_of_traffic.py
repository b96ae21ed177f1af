"""The ports of HAProxy and of name servers with peers that misbehave: they end by their limit, and say
whether anything may have been done."""

from __future__ import annotations

import time

import pytest

from controller.adapters.haproxy import HaproxyRuntime
from controller.adapters.name_servers import NameServersOverTcp, host_and_port
from model.errors import BalancerError, NameServerError
from model.execution import StepState
from tests.action_stand import ActionStand, pool_estate
from tests.bad_servers import BAD_PEERS

LIMIT_S = 0.3
# Nobody has taken the connection, so nobody has read a command.
NOT_SENT = frozenset({"black hole", "refuses"})


@pytest.mark.parametrize("peer", BAD_PEERS)
async def test_haproxy(peer: str) -> None:
    async with BAD_PEERS[peer]() as port:
        began_s = time.monotonic()
        with pytest.raises(BalancerError) as caught:
            await HaproxyRuntime().ask(f"127.0.0.1:{port}", "show info", timeout_s=LIMIT_S)
        assert time.monotonic() - began_s < LIMIT_S + 0.5
        assert caught.value.sent == (peer not in NOT_SENT)


# What comes is no message of DNS; that is not for the port to judge, which passes on what is long enough.
@pytest.mark.parametrize("peer", [p for p in BAD_PEERS if p not in ("garbage", "floods", "drips")])
async def test_name_servers(peer: str) -> None:
    async with BAD_PEERS[peer]() as port:
        began_s = time.monotonic()
        with pytest.raises(NameServerError) as caught:
            await NameServersOverTcp().ask(f"127.0.0.1:{port}", b"question", timeout_s=LIMIT_S)
        assert time.monotonic() - began_s < LIMIT_S + 0.5
        assert caught.value.sent == (peer not in NOT_SENT)


@pytest.mark.parametrize("peer", BAD_PEERS)
async def test_nothing_that_misbehaves_passes_for_success(peer: str) -> None:
    async with BAD_PEERS[peer]() as port, ActionStand(pool_estate()) as stand:
        where = {"sockets": [f"127.0.0.1:{port}"], "backend": "shop"}
        for action in (
            stand.action("haproxy.maint", **where, server="a"),
            stand.action("fence.traffic", **where, server="a", only_way=True),
            stand.action("haproxy.assert_state", **where, members=["a"], silent_too=True),
        ):
            result = await stand.run(action, LIMIT_S)
            assert result.outcome in (StepState.FAILED, StepState.UNKNOWN), action.name
        endpoint = {
            "type": "dns", "name": "db.dyn.example", "zone": "dyn.example", "primary": f"127.0.0.1:{port}",
        }  # fmt: skip
        update = stand.action("dns.update", endpoint=endpoint, addresses=["192.0.2.1"])
        assert (await stand.run(update, LIMIT_S)).outcome in (StepState.FAILED, StepState.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ns1.example", ("ns1.example", 53)),
        ("ns1.example:5353", ("ns1.example", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
    ],
)
def test_how_a_name_server_is_written(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected
