"""Runs actions that need no cluster one by one, as the engine would: `stand.run(action)`, `check`, `undo`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Self, cast

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.haproxy import HaproxyRuntime
from controller.adapters.local import LocalAccess
from controller.adapters.name_servers import NameServersOverTcp
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from model.execution import Reconciled, StepResult, StepState
from model.ports import Journal, Lease, Sql
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.registry import action_type


def pool_estate(members: Mapping[str, int] | None = None, **more: Any) -> Estate:
    """An estate with one pool, `shop`. members: name → port on loopback; each on a node of its own that is
    this host. more: keys of the service."""
    names = members or {"a": 8001, "b": 8002}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "sites": {"one": {"role": "primary"}},
            "nodes": {f"n-{m}": {"site": "one", "address": "127.0.0.1", "access": "local"} for m in names},
            "services": {
                "shop": {
                    "engine": "http",
                    "http": {"minimum": 1},
                    "members": {
                        m: {"node": f"n-{m}", "role": "pool", "host": "127.0.0.1", "port": port}
                        for m, port in names.items()
                    },
                    **more,
                }
            },
        }
    )


class ActionStand:
    """One execution. Options are given as a runbook gives them."""

    def __init__(self, estate: Estate, **variables: Any) -> None:
        [service] = estate.services.values()
        secrets = SecretStore()
        self._nodes = NodeAccesses(estate, secrets)
        self.ctx = StepContext(
            estate=estate,
            service=service,
            ports=ActionPorts(
                clock=SystemClock(),
                journal=cast("Journal", None),
                lease=cast("Lease", None),
                sql=cast("Sql", None),
                secrets=secrets,
                node=self._nodes.access,
                here=LocalAccess("this host"),
                haproxy=HaproxyRuntime(),
                name_servers=NameServersOverTcp(),
            ),
            execution="EXE-1",
            incident=None,
            actor="li",
            vars={"service": service.name, **variables, "steps": {}},
            stack=AsyncExitStack(),
        )

    @staticmethod
    def action(name: str, **options: Any) -> Action:
        kind = action_type(name)
        return kind(kind.Options.model_validate(options))

    async def run(self, action: Action, timeout_s: float = 5.0) -> StepResult:
        return await action.run(self.ctx, time.monotonic() + timeout_s)

    async def ok(self, action: Action, timeout_s: float = 5.0) -> StepResult:
        result = await self.run(action, timeout_s)
        assert result.outcome is StepState.SUCCEEDED, result
        return result

    async def check(self, action: Action, timeout_s: float = 5.0) -> Reconciled:
        return await action.check(self.ctx, time.monotonic() + timeout_s)

    async def undo(
        self, action: Action, after: StepResult | None = None, timeout_s: float = 5.0
    ) -> StepResult:
        """after: what the step had put out, if that was recorded."""
        steps = {"it": dict(after.output)} if after else {}
        context = replace(self.ctx, step="it", vars={**self.ctx.vars, "steps": steps})
        return await action.undo(context, time.monotonic() + timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.ctx.stack.aclose()
        await self._nodes.aclose()
