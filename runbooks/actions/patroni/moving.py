"""What `patroni.switchover` and `patroni.failover` have in common: ask, and believe only what is seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.errors import BcmError, RunbookError
from model.execution import Reconciled, StepResult
from runbooks.actions.base import StepContext
from runbooks.actions.patroni.api import POLL_S, Api, Cluster, UncertainError


async def move(
    ctx: StepContext, api: Api, how: str, body: Mapping[str, Any], *, before: Cluster, deadline_s: float
) -> StepResult:
    """how: `switchover` or `failover`. before: how the cluster stood. Succeeds once another leader than then,
    the candidate if there is one, is seen to work. After a request that may have been heard it never says
    `failed`."""
    old, candidate = before.leader, body.get("candidate")
    try:
        said = await api.move(how, body, deadline_s)
    except RunbookError as error:
        return StepResult.failed(error.what)
    except UncertainError as error:
        said = str(error)
    while True:
        seen = await _leader(api, deadline_s)
        if seen is not None and seen.leader is not None:
            leader = seen.leader
            arrived = leader.name == candidate if candidate else old is None or leader.name != old.name
            if arrived and leader.works:
                ctx.progress(f"{leader.name} leads")
                return StepResult.ok(f"{leader.name} leads: {said}", **output(before, seen))
        if ctx.ports.clock.monotonic_s() + POLL_S >= deadline_s:
            return StepResult.unknown(f"asked for, and no new leader is seen: {said}")
        await ctx.ports.clock.sleep(POLL_S)


async def look(api: Api, leader: str, candidate: str, deadline_s: float) -> Reconciled:
    """Has the primary moved? leader, candidate: as the step names them; '' for none."""
    try:
        seen = await api.cluster(deadline_s)
    except (BcmError, UncertainError) as error:
        return Reconciled.unknown(str(error))
    now = seen.leader
    if now is None:
        return Reconciled.unknown("the cluster has no leader: Patroni may be about to choose one")
    if not now.works:
        return Reconciled.unknown(f"{now.name} leads and does not work yet")
    if candidate and now.name == candidate:
        return Reconciled.done(f"{now.name} leads", **output(None, seen))
    if not candidate and leader and now.name != leader:
        return Reconciled.done(f"{now.name} leads", **output(None, seen))
    if not candidate and not leader:
        return Reconciled.unknown(f"{now.name} leads; the step names neither `leader` nor `candidate`")
    return Reconciled.not_done(f"{now.name} leads")


def output(before: Cluster | None, seen: Cluster) -> dict[str, Any]:
    """leader, was (None: not known), timeline."""
    was = before.leader if before is not None else None
    now = seen.leader
    return {
        "leader": now.name if now else None,
        "was": was.name if was else None,
        "timeline": now.timeline if now else None,
    }


async def _leader(api: Api, deadline_s: float) -> Cluster | None:
    try:
        return await api.cluster(deadline_s)
    except (BcmError, UncertainError):
        return None
