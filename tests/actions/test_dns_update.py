"""dns.update against two real BINDs: one takes signed updates, the other follows it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.execution import Effect, StepState
from runbooks.actions.base import Action
from tests.action_stand import ActionStand, pool_estate
from tests.bind_server import KEY, SECRET, Zone, running_zone

OLD = ["192.0.2.10", "2001:db8::10"]


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    with running_zone(tmp_path_factory.mktemp("zone")) as running:
        yield running


@pytest.fixture
async def stand(zone: Zone, tmp_path: Path) -> AsyncIterator[ActionStand]:
    """The name has its old addresses before."""
    async with ActionStand(pool_estate()) as made:
        await made.ok(update(zone, tmp_path, OLD, ttl="2s"))
        yield made
    async with ActionStand(pool_estate()) as after:
        await after.ok(update(zone, tmp_path, OLD, ttl="2s"))


def update(zone: Zone, tmp_path: Path, addresses: list[str], **more: Any) -> Action:
    secret = tmp_path / "key"
    secret.write_text(more.pop("secret", SECRET))
    secret.chmod(0o600)
    name = more.pop("name", "db.dyn.example")
    signed = {"name": more.pop("key", KEY), "secret": {"file": str(secret)}}
    endpoint = {
        "type": "dns", "name": name, "zone": more.pop("zone_name", "dyn.example"), "primary": zone.primary,
        "servers": more.pop("servers", [zone.secondary]), "key": signed, "ttl": "2s",
    }  # fmt: skip
    return ActionStand.action("dns.update", endpoint=endpoint, addresses=addresses, **more)


async def test_the_name_has_the_new_address_on_every_server(
    zone: Zone, tmp_path: Path, stand: ActionStand
) -> None:
    action = update(zone, tmp_path, ["192.0.2.20"])
    assert (await stand.check(action)).effect is Effect.NOT_DONE
    result = await stand.ok(action)
    assert result.output["before"] == {"addresses": OLD, "ttl_s": 2}
    assert (await stand.check(action)).effect is Effect.DONE
    assert (await stand.undo(action, result)).outcome is StepState.SUCCEEDED
    assert (await stand.check(update(zone, tmp_path, OLD))).effect is Effect.DONE


async def test_a_server_that_does_not_follow_is_waited_for_and_named(
    zone: Zone, tmp_path: Path, stand: ActionStand
) -> None:
    zone.freeze("secondary")
    try:
        action = update(zone, tmp_path, ["192.0.2.21"])
        result = await stand.run(action, 1.0)
        assert (result.outcome, f"{zone.secondary} does not tell" in result.detail) == (
            StepState.FAILED,
            True,
        )
        assert (await stand.check(action, 0.5)).effect is Effect.UNKNOWN
    finally:
        zone.thaw("secondary")
    await stand.ok(action)


async def test_a_primary_that_does_not_answer_leaves_the_outcome_unknown(
    zone: Zone, tmp_path: Path, stand: ActionStand
) -> None:
    """Asked first, so nothing was sent: a failure. Its own answer to the update lost: unknown."""
    zone.freeze("primary")
    try:
        result = await stand.run(update(zone, tmp_path, ["192.0.2.22"]), 0.5)
        assert result.outcome is StepState.FAILED
    finally:
        zone.thaw("primary")


async def test_a_wrong_signature_is_refused(zone: Zone, tmp_path: Path, stand: ActionStand) -> None:
    wrong = await stand.run(update(zone, tmp_path, ["192.0.2.23"], secret="d3Jvbmc="))
    assert (wrong.outcome, "signature" in wrong.detail) == (StepState.FAILED, True)
    unknown = await stand.run(update(zone, tmp_path, ["192.0.2.23"], key="nobody"))
    assert unknown.outcome is StepState.FAILED
    for result in (wrong, unknown):
        assert "d3Jvbmc" not in result.detail + str(result.output)
    assert (await stand.check(update(zone, tmp_path, OLD))).effect is Effect.DONE


async def test_old_answers_are_waited_for(zone: Zone, tmp_path: Path, stand: ActionStand) -> None:
    action = update(zone, tmp_path, ["192.0.2.24"], wait_ttl=True, ttl="1s")
    late = await stand.run(action, 1.5)
    assert (late.outcome, "the time is up" in late.detail) == (StepState.FAILED, True)
    assert (await stand.check(action)).effect is Effect.NOT_DONE
    began_s = time.monotonic()
    result = await stand.ok(action)
    assert 0.8 < time.monotonic() - began_s < 3
    assert result.output["waited_ms"] > 500


async def test_an_alias_is_not_taken_for_an_address(zone: Zone, tmp_path: Path, stand: ActionStand) -> None:
    result = await stand.run(update(zone, tmp_path, ["192.0.2.25"], name="alias.dyn.example"), 1.0)
    assert (result.outcome, "CNAME" in result.detail) == (StepState.FAILED, True)


async def test_a_name_outside_of_the_zone_is_refused(zone: Zone, tmp_path: Path, stand: ActionStand) -> None:
    result = await stand.run(update(zone, tmp_path, ["192.0.2.26"], name="db.other.example"), 1.0)
    assert result.outcome is StepState.FAILED


async def test_what_was_before_is_known_to_the_process_that_lost_the_result(
    zone: Zone, tmp_path: Path, stand: ActionStand
) -> None:
    action = update(zone, tmp_path, ["192.0.2.27"])
    await stand.ok(action)
    assert (await stand.undo(action)).outcome is StepState.SUCCEEDED
    await stand.ok(action)
    async with ActionStand(pool_estate()) as successor:
        undone = await successor.undo(action)
    assert (undone.outcome, "not recorded" in undone.detail) == (StepState.FAILED, True)


def test_a_plan_shows_what_is_asked_and_no_secret(zone: Zone, tmp_path: Path) -> None:
    stand = ActionStand(pool_estate())
    lines = update(zone, tmp_path, ["192.0.2.20"]).describe(stand.ctx)
    assert lines[0] == f"{zone.primary}: update db.dyn.example = 192.0.2.20 ttl 2 signed with {KEY}"
    assert not any(SECRET in line for line in lines)


@pytest.mark.parametrize("more", [{"member": "a"}, {"addresses": []}, {"nonsense": 1}])
def test_what_makes_no_sense(zone: Zone, tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        update(zone, tmp_path, more.pop("addresses", ["192.0.2.1"]), **more)
