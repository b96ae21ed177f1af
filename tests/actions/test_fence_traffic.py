"""fence.traffic against a real HAProxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from model.execution import StepState
from runbooks.actions.fence.traffic import Traffic
from tests.action_stand import ActionStand, pool_estate
from tests.haproxy_server import BACKEND, Echo, running_haproxy


@pytest.fixture
async def stand() -> AsyncIterator[ActionStand]:
    async with ActionStand(pool_estate()) as made:
        yield made


@pytest.fixture
def server() -> Iterator[Echo]:
    made = Echo("a")
    yield made
    made.close()


async def test_nobody_is_led_there_and_open_sessions_are_cut(
    tmp_path: Path, server: Echo, stand: ActionStand
) -> None:
    with running_haproxy(tmp_path, {"a": server.port}) as haproxy:
        where = {"sockets": [haproxy.socket], "backend": BACKEND}
        await stand.ok(stand.action("haproxy.ready", **where, server="a"))
        client = haproxy.client()
        server.keep(client)
        server.serve_one()
        assert client.recv(5) == b"a"
        await stand.ok(stand.action("fence.traffic", **where, member="a", only_way=True))
        client.settimeout(5)
        assert client.recv(5) == b""
        with haproxy.client() as late:
            late.settimeout(5)
            assert late.recv(5) == b""


async def test_a_balancer_that_does_not_answer_may_lead_there_still(
    tmp_path: Path, server: Echo, stand: ActionStand
) -> None:
    with running_haproxy(tmp_path, {"a": server.port}) as haproxy:
        two = {"sockets": [haproxy.socket, str(tmp_path / "gone")], "backend": BACKEND, "server": "a"}
        assert (await stand.run(stand.action("fence.traffic", **two))).outcome is StepState.FAILED
        haproxy.freeze()
        try:
            frozen = stand.action("fence.traffic", sockets=[haproxy.socket], backend=BACKEND, server="a")
            assert (await stand.run(frozen, 0.3)).outcome is StepState.UNKNOWN
        finally:
            haproxy.thaw()


async def test_a_server_that_would_be_back_with_a_restart_is_not_fenced(
    tmp_path: Path, server: Echo, stand: ActionStand
) -> None:
    with running_haproxy(tmp_path, {"a": server.port}, behind="") as haproxy:
        fence = stand.action("fence.traffic", sockets=[haproxy.socket], backend=BACKEND, server="a")
        result = await stand.run(fence)
        assert (result.outcome, "lacks `disabled`" in result.detail) == (StepState.FAILED, True)
        assert haproxy.state("a") == "no check"


def test_it_is_a_fence_only_where_clients_have_no_other_way() -> None:
    assert Traffic.fencing({"only_way": True})
    assert not Traffic.fencing({})
    assert not Traffic.fencing({"only_way": "{{ x }}"})
