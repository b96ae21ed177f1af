"""The actions `haproxy.*` against a real HAProxy, over its socket file and over TCP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.execution import Effect, StepState
from tests.action_stand import ActionStand, pool_estate
from tests.haproxy_server import BACKEND, Echo, Haproxy, running_haproxy


@pytest.fixture
def servers() -> Iterator[dict[str, Echo]]:
    found = {name: Echo(name) for name in ("a", "b")}
    yield found
    for server in found.values():
        server.close()


@pytest.fixture
def haproxy(tmp_path: Path, servers: dict[str, Echo]) -> Iterator[Haproxy]:
    with running_haproxy(tmp_path, {name: s.port for name, s in servers.items()}) as running:
        yield running


@pytest.fixture
async def stand() -> AsyncIterator[ActionStand]:
    async with ActionStand(pool_estate()) as made:
        yield made


def on(haproxy: Haproxy, **more: Any) -> dict[str, Any]:
    return {"sockets": [haproxy.socket], "backend": BACKEND, **more}


def session(haproxy: Haproxy, server: Echo) -> socket.socket:
    """A client's open session through HAProxy, greeted by the server."""
    client = haproxy.client()
    server.keep(client)
    server.serve_one()
    assert client.recv(10)
    return client


def ended(client: socket.socket) -> bool:
    """HAProxy has closed the session."""
    client.settimeout(5)
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


async def test_a_server_that_starts_disabled_takes_traffic_once_it_is_ready(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    assert haproxy.state("a") == "MAINT"
    ready = stand.action("haproxy.ready", **on(haproxy, server="a"))
    assert (await stand.check(ready)).effect is Effect.NOT_DONE
    result = await stand.ok(ready)
    assert result.output["before"] == {haproxy.socket: "maint"}
    assert (await stand.check(ready)).effect is Effect.DONE
    session(haproxy, servers["a"])


async def test_it_works_over_tcp_and_for_a_member_of_the_service(
    haproxy: Haproxy, stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", sockets=[haproxy.tcp], backend=BACKEND, member="a"))
    assert haproxy.state("a") == "no check"


async def test_drain_leaves_open_sessions_alone_and_can_wait_for_their_end(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    session(haproxy, servers["a"])
    result = await stand.ok(stand.action("haproxy.drain", **on(haproxy, server="a")))
    assert result.output["sessions"] == 1
    waiting = stand.action("haproxy.drain", **on(haproxy, server="a", empty=True))
    held = await stand.run(waiting, 0.3)
    assert (held.outcome, "1 session left" in held.detail) == (StepState.FAILED, True)
    assert (await stand.check(waiting)).effect is Effect.NOT_DONE
    servers["a"].hang_up()
    assert (await stand.ok(waiting)).output["sessions"] == 0


async def test_maint_with_cut_ends_the_sessions_and_undo_brings_the_state_back(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    client = session(haproxy, servers["a"])
    maint = stand.action("haproxy.maint", **on(haproxy, server="a", cut=True))
    result = await stand.ok(maint)
    assert ended(client)
    assert (haproxy.state("a"), result.output["sessions"]) == ("MAINT", 0)
    assert (await stand.undo(maint, result)).outcome is StepState.SUCCEEDED
    assert haproxy.state("a") == "no check"


async def test_maint_without_cut_leaves_sessions_open(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    session(haproxy, servers["a"])
    result = await stand.ok(stand.action("haproxy.maint", **on(haproxy, server="a")))
    assert result.output["sessions"] == 1


async def test_undo_of_what_was_so_before_changes_nothing(haproxy: Haproxy, stand: ActionStand) -> None:
    """An operator's own maint outlives a runbook that is taken back."""
    maint = stand.action("haproxy.maint", **on(haproxy, server="a"))
    result = await stand.ok(maint)
    await stand.undo(maint, result)
    assert haproxy.state("a") == "MAINT"


async def test_ready_fails_where_the_servers_own_check_fails(tmp_path: Path, stand: ActionStand) -> None:
    gone = Echo("gone")
    gone.close()
    checks = "disabled check inter 100ms fall 3"
    with running_haproxy(tmp_path, {"a": gone.port}, behind=checks) as haproxy:
        result = await stand.run(stand.action("haproxy.ready", **on(haproxy, server="a")), 0.4)
        assert (result.outcome, "none of its checks" in result.detail) == (StepState.FAILED, True)
        await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a", up=False)))


async def test_ready_waits_for_a_check_that_is_newer_than_the_maintenance(
    tmp_path: Path, servers: dict[str, Echo], stand: ActionStand
) -> None:
    """The check before it had succeeded, and the server has died since: HAProxy takes it for good untried."""
    checks = "disabled check inter 100ms fall 3"
    with running_haproxy(tmp_path, {"a": servers["a"].port}, behind=checks) as haproxy:
        ready = stand.action("haproxy.ready", **on(haproxy, server="a"))
        await stand.ok(ready)
        await stand.ok(stand.action("haproxy.maint", **on(haproxy, server="a")))
        servers["a"].close()
        result = await stand.run(ready, 0.4)
        assert (result.outcome, "none of its checks" in result.detail) == (StepState.FAILED, True)


async def test_shutdown_sessions_ends_those_that_there_were(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    clients = [session(haproxy, servers["a"]) for _ in range(3)]
    end = stand.action("haproxy.shutdown_sessions", **on(haproxy, server="a"))
    assert (await stand.check(end)).effect is Effect.NOT_DONE
    assert (await stand.ok(end)).output["ended"] == 3
    assert all(ended(client) for client in clients)
    assert (await stand.check(end)).effect is Effect.DONE
    session(haproxy, servers["a"])


async def test_set_addr_leads_new_sessions_elsewhere_and_back(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    other = servers["b"].port
    move = stand.action("haproxy.set_addr", **on(haproxy, server="a", address="127.0.0.1", port=other))
    assert (await stand.check(move)).effect is Effect.NOT_DONE
    result = await stand.ok(move)
    session(haproxy, servers["b"])
    assert (await stand.check(move)).effect is Effect.DONE
    assert (await stand.undo(move, result)).outcome is StepState.SUCCEEDED
    session(haproxy, servers["a"])


async def test_an_address_that_was_not_recorded_is_not_guessed(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    """The process died between the change and its record; another one takes it back."""
    options = on(haproxy, server="a", address="127.0.0.1", port=servers["b"].port)
    await stand.ok(stand.action("haproxy.set_addr", **options))
    async with ActionStand(pool_estate()) as successor:
        undone = await successor.undo(successor.action("haproxy.set_addr", **options))
    assert (undone.outcome, "not recorded" in undone.detail) == (StepState.FAILED, True)


async def test_assert_state_enables_one_and_cuts_everybody_else(
    haproxy: Haproxy, servers: dict[str, Echo], stand: ActionStand
) -> None:
    await stand.ok(stand.action("haproxy.ready", **on(haproxy, server="a")))
    client = session(haproxy, servers["a"])
    switch = stand.action("haproxy.assert_state", **on(haproxy, members=["b"]))
    assert (await stand.check(switch)).effect is Effect.NOT_DONE
    result = await stand.ok(switch)
    assert ended(client)
    assert (haproxy.state("a"), haproxy.state("b")) == ("MAINT", "no check")
    assert result.output["ended"] == 1
    assert result.output["enabled_at_start"] == []
    session(haproxy, servers["b"])
    assert (await stand.check(switch)).effect is Effect.DONE


async def test_a_restarted_haproxy_leads_nowhere_until_the_state_is_asserted_again(
    haproxy: Haproxy, stand: ActionStand
) -> None:
    switch = stand.action("haproxy.assert_state", **on(haproxy, members=["b"]))
    await stand.ok(switch)
    haproxy.stop()
    refused = await stand.run(switch)
    assert refused.outcome is StepState.FAILED
    haproxy.start()
    assert (haproxy.state("a"), haproxy.state("b")) == ("MAINT", "MAINT")
    assert (await stand.check(switch)).effect is Effect.NOT_DONE
    await stand.ok(switch)
    assert haproxy.state("b") == "no check"


async def test_servers_that_do_not_start_disabled_are_named(tmp_path: Path, stand: ActionStand) -> None:
    with running_haproxy(tmp_path, {"a": 1, "b": 2}, behind="") as haproxy:
        switch = stand.action("haproxy.assert_state", **on(haproxy, members=["b"]))
        assert (await stand.ok(switch)).output["enabled_at_start"] == ["a", "b"]
        _told, disabled = await switch.precheck(stand.ctx)
        assert disabled.ok is False


async def test_a_balancer_that_is_gone_is_put_up_with_only_where_that_is_said(
    haproxy: Haproxy, tmp_path: Path, stand: ActionStand
) -> None:
    two = {"sockets": [haproxy.socket, str(tmp_path / "nobody")], "backend": BACKEND, "members": ["b"]}
    strict = await stand.run(stand.action("haproxy.assert_state", **two))
    assert (strict.outcome, "nobody" in strict.detail) == (StepState.FAILED, True)
    result = await stand.ok(stand.action("haproxy.assert_state", **two, silent_too=True))
    assert result.output["silent"] == [str(tmp_path / "nobody")]
    assert haproxy.state("b") == "no check"


async def test_a_frozen_haproxy_leaves_the_outcome_unknown(haproxy: Haproxy, stand: ActionStand) -> None:
    maint = stand.action("haproxy.maint", **on(haproxy, server="a"))
    haproxy.freeze()
    try:
        assert (await stand.run(maint, 0.3)).outcome is StepState.UNKNOWN
        assert (await stand.check(maint, 0.3)).effect is Effect.UNKNOWN
    finally:
        haproxy.thaw()


async def test_what_haproxy_refuses_is_said_in_its_words(haproxy: Haproxy, stand: ActionStand) -> None:
    unknown = await stand.run(stand.action("haproxy.ready", **on(haproxy, server="zz")))
    assert (unknown.outcome, "has no server 'zz': a, b" in unknown.detail) == (StepState.FAILED, True)
    user = {"sockets": [f"{haproxy.socket}.user"], "backend": BACKEND, "server": "a"}
    forbidden = await stand.run(stand.action("haproxy.ready", **user))
    assert (forbidden.outcome, "Permission denied" in forbidden.detail) == (StepState.FAILED, True)


@pytest.mark.parametrize("name", ["a;disable frontend in", "a\nshow info", "a b", "../a", ""])
def test_a_name_can_not_become_another_command(name: str) -> None:
    with pytest.raises(ValidationError):
        ActionStand.action("haproxy.maint", sockets=["/run/s"], backend=BACKEND, server=name)


async def test_the_runtime_takes_one_command_at_a_time(stand: ActionStand) -> None:
    with pytest.raises(ValueError, match="not one command"):
        await stand.ctx.ports.haproxy.ask("/run/s", "show info;disable frontend in", timeout_s=1)
