"""The actions `vip.*` on nodes that are network namespaces on one Ethernet, with the kernel's own ARP."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from model.execution import Effect, StepState
from runbooks.actions.base import Action
from tests.action_stand import ActionStand, pool_estate
from tests.vip_nodes import LINK, Ethernet, ethernet

VIP, VIP_6 = "10.7.0.100", "fd07::100"


@pytest.fixture(scope="module")
def lan() -> Iterator[Ethernet]:
    if shutil.which("arping") is None:
        pytest.skip("arping is not installed (Debian: apt-get install iputils-arping)")
    with ethernet(["n-a", "n-b", "client"]) as made:
        yield made


@pytest.fixture
async def stand(lan: Ethernet) -> AsyncIterator[ActionStand]:
    """Nobody has the address before, or after."""
    async with ActionStand(pool_estate()) as made:
        made.ctx.ports = replace(made.ctx.ports, node=lambda name: lan.access[name])
        yield made
    for node, access in lan.access.items():
        access.gone = False
        for address in (f"{VIP}/24", f"{VIP_6}/64"):
            if has(lan, node, address.partition("/")[0]):
                lan.run(node, "ip", "address", "del", address, "dev", LINK)


def vip(name: str, **options: Any) -> Action:
    return ActionStand.action(name, **{"address": f"{VIP}/24", "interface": LINK, **options})


def has(lan: Ethernet, node: str, ip: str = VIP) -> bool:
    return f" {ip}/" in lan.run(node, "ip", "address", "show", "dev", LINK)


def reaches(lan: Ethernet, ip: str = VIP) -> bool:
    """The client gets an answer from the address."""
    try:
        lan.run("client", "ping", "-q", "-c", "1", "-W", "2", ip)
    except Exception:
        return False
    return True


async def test_an_address_is_taken_and_let_go_of(lan: Ethernet, stand: ActionStand) -> None:
    add, remove = vip("vip.add", member="a"), vip("vip.remove", member="a")
    result = await stand.ok(add)
    assert (has(lan, "n-a"), result.output["changed"], reaches(lan)) == (True, True, True)
    assert (await stand.check(remove)).effect is Effect.NOT_DONE
    await stand.ok(remove)
    assert not has(lan, "n-a")
    assert (await stand.check(remove)).effect is Effect.DONE
    again = await stand.ok(remove)
    assert again.output["changed"] is False


async def test_a_move_is_told_to_neighbours_that_had_the_old_place_cached(
    lan: Ethernet, stand: ActionStand
) -> None:
    await stand.ok(vip("vip.move", member="a"))
    assert reaches(lan)
    assert lan.neighbour("client", VIP) == lan.mac("n-a")
    result = await stand.ok(vip("vip.move", member="b"))
    assert lan.neighbour("client", VIP) == lan.mac("n-b")
    assert (has(lan, "n-a"), has(lan, "n-b"), reaches(lan)) == (False, True, True)
    assert result.output["was_on"] == ["n-a"]


async def test_a_move_is_taken_back_to_where_it_was(lan: Ethernet, stand: ActionStand) -> None:
    await stand.ok(vip("vip.add", node="n-a"))
    move = vip("vip.move", member="b")
    result = await stand.ok(move)
    assert (await stand.undo(move, result)).outcome is StepState.SUCCEEDED
    assert (has(lan, "n-a"), has(lan, "n-b")) == (True, False)


async def test_an_address_that_another_host_has_is_not_taken(lan: Ethernet, stand: ActionStand) -> None:
    """The old node can't be reached to be told, and has the address still."""
    await stand.ok(vip("vip.add", node="n-a"))
    lan.access["n-a"].gone = True
    result = await stand.run(vip("vip.move", member="b"))
    assert (result.outcome, "is taken" in result.detail, "not reached: n-a" in result.detail) == (
        StepState.FAILED, True, True,
    )  # fmt: skip
    assert not has(lan, "n-b")


async def test_a_node_that_is_dead_is_put_up_with(lan: Ethernet, stand: ActionStand) -> None:
    lan.access["n-a"].gone = True
    result = await stand.ok(vip("vip.move", member="b"))
    assert result.output["not_reached"] == ["n-a"]
    assert has(lan, "n-b")


async def test_after_a_lost_result_the_neighbours_are_told_again(lan: Ethernet, stand: ActionStand) -> None:
    """The process died between taking the address and telling of it: taking it twice does no harm."""
    await stand.ok(vip("vip.move", member="a"))
    assert reaches(lan)
    lan.run("n-a", "ip", "address", "del", f"{VIP}/24", "dev", LINK)
    lan.run("n-b", "ip", "address", "add", f"{VIP}/24", "dev", LINK)
    assert lan.neighbour("client", VIP) == lan.mac("n-a")
    move = vip("vip.move", member="b")
    assert (await stand.check(move)).effect is Effect.NOT_DONE
    await stand.ok(move)
    assert lan.neighbour("client", VIP) == lan.mac("n-b")


async def test_an_address_of_ipv6(lan: Ethernet, stand: ActionStand) -> None:
    six = {"address": f"{VIP_6}/64"}
    await stand.ok(vip("vip.move", member="a", **six), 10)
    assert reaches(lan, VIP_6)
    await stand.ok(vip("vip.move", member="b", **six), 10)
    assert (has(lan, "n-a", VIP_6), has(lan, "n-b", VIP_6), reaches(lan, VIP_6)) == (False, True, True)
    lan.access["n-b"].gone = True
    taken = await stand.run(vip("vip.move", member="a", **six), 10)
    assert (taken.outcome, "is taken" in taken.detail, has(lan, "n-a", VIP_6)) == (
        StepState.FAILED,
        True,
        False,
    )


async def test_an_interface_that_is_not_there_is_said_and_changes_nothing(stand: ActionStand) -> None:
    result = await stand.run(vip("vip.add", member="a", interface="eth99"))
    assert (result.outcome, "eth99" in result.detail) == (StepState.FAILED, True)


@pytest.mark.parametrize(
    "options",
    [
        {"address": "10.7.0.100", "interface": LINK},
        {"address": "10.7.0.100/24 dev lo", "interface": LINK},
        {"address": "10.7.0.100/24", "interface": "-x y"},
        {"address": "10.7.0.100/24", "interface": ""},
    ],
)
def test_what_is_no_address_or_interface(options: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ActionStand.action("vip.add", member="a", **options)
