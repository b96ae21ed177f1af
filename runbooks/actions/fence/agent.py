"""fence.agent: a node's power, or its port of a switch, is turned off by a program of fence-agents.

All of these programs (`fence_ipmilan`, `fence_vmware_rest`, `fence_apc`, …) are told what to do on their
standard input, one `key=value` a line, and answer `status` with exit code 0 for on and 2 for off.

Source: FenceAgentAPI.md of ClusterLabs/fence-agents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self, cast

from pydantic import Field, model_validator

from config.document import Path
from config.secrets import SecretRef, is_secret_key
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from probes.texts import masked, one_line
from runbooks.actions.base import Action, ActionOptions, StepContext

_ON: Final = 0
_OFF: Final = 2
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_OURS: Final = frozenset({"action", "option"})
# Kept back from what is done, so that the effect can be looked at before the deadline.
_LOOK_S: Final = 5.0

Value = str | Annotated[int, Field(strict=True)] | Annotated[bool, Field(strict=True)]


class AgentOptions(ActionOptions):
    """Which agent, and what it has to know."""

    agent: str = Field(
        pattern=r"^(/[^\s\x00]+/)?fence_[a-z0-9_]+$",
        description="Its program, such as fence_ipmilan; looked for in /usr/sbin, or with its path.",
    )
    parameters: Mapping[str, Value] = Field(
        {}, description="What it has to know, as its own page names it: ip, username, plug, lanplus: 1, …"
    )
    secrets: Mapping[str, SecretRef] = Field(
        {}, description="The same for secrets, by reference: `password: {file: PATH}`."
    )
    operation: Literal["off", "on"] = Field(
        "off",
        description="off fences; on is the way back. There is no reboot: who comes back may write again.",
    )

    @model_validator(mode="after")
    def _lines(self) -> Self:
        for key in (*self.parameters, *self.secrets):
            if not _KEY.fullmatch(key) or key in _OURS:
                raise ValueError(f"{key!r} is no parameter that may be set here")
        for key, value in self.parameters.items():
            if is_secret_key(key) and not key.endswith("_script"):
                raise ValueError(f"{key} is a secret; it belongs under `secrets`, by reference")
            if isinstance(value, str) and re.search(r"[\n\r\x00]", value):
                raise ValueError(f"{key}: a value is one line")
        both = sorted(self.parameters.keys() & self.secrets.keys())
        if both:
            raise ValueError(f"{', '.join(both)} is in `parameters` and in `secrets`")
        return self


@dataclass(frozen=True, slots=True)
class _Said:
    code: int | None
    text: str


class Agent(Action):
    """The agent is asked before and after: what counts is the status that it tells, not how it ended. Where
    it tells none (a management board that lost its power with its host), the outcome is unknown.

    Runs on this controller's host, and hands over parameters and secrets on standard input only. What the
    agent itself does with a password is its own affair: fence_ipmilan gives it to ipmitool as an argument.

    Output: `status`, on or off; `changed`: it was another before.
    """

    name: ClassVar[str] = "fence.agent"
    Options = AgentOptions
    fences: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("status", "changed")
    check_limit_s: ClassVar[float] = 20.0
    literal: ClassVar[tuple[Path, ...]] = (("agent",),)

    @classmethod
    def fencing(cls, written: Mapping[str, Any]) -> bool:
        return "operation" not in written or written["operation"] == "off"

    @property
    def given(self) -> AgentOptions:
        return cast("AgentOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        shown = [f"{key}={value}" for key, value in self.given.parameters.items()]
        shown += [f"{key}=***" for key in self.given.secrets]
        return [f"{self._program} <<< {' '.join(['action=' + self.given.operation, *shown])}"]

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        said = await self._tell(ctx, "status", ctx.ports.clock.monotonic_s() + _LOOK_S)
        words = {_ON: "on", _OFF: "off"}
        return [
            Precheck(
                what=f"{self.given.agent} tells the status",
                how=f"{self._program} <<< action=status",
                ok=None if said.code is None else said.code in words,
                result=words.get(said.code, said.text) if said.code is not None else said.text,
                why="a fence that can't be seen to hold does not hold",
                if_failed="install fence-agents, or mend the parameters; try it by hand",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        before = await self._tell(ctx, "status", deadline_s)
        if before.code == self._wanted:
            return StepResult.ok(
                f"it is {self.given.operation} already", status=self.given.operation, changed=False
            )
        acted = await self._tell(ctx, self.given.operation, deadline_s - self._look_s(ctx, deadline_s))
        after = await self._tell(ctx, "status", deadline_s)
        if after.code == self._wanted:
            return StepResult.ok(f"it is {self.given.operation}", status=self.given.operation, changed=True)
        told = f"{self.given.operation}: {acted.text}; status: {after.text}"
        if after.code in (_ON, _OFF):
            return StepResult.failed(f"it is still {'on' if after.code == _ON else 'off'}; {told}")
        return StepResult.unknown(told)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        said = await self._tell(ctx, "status", deadline_s)
        if said.code == self._wanted:
            return Reconciled.done(f"it is {self.given.operation}", status=self.given.operation, changed=True)
        if said.code in (_ON, _OFF):
            return Reconciled.not_done(f"it is {'on' if said.code == _ON else 'off'}")
        return Reconciled.unknown(f"its status is not told: {said.text}")

    @property
    def _wanted(self) -> int:
        return _OFF if self.given.operation == "off" else _ON

    @property
    def _program(self) -> str:
        return self.given.agent if self.given.agent.startswith("/") else f"/usr/sbin/{self.given.agent}"

    def _look_s(self, ctx: StepContext, deadline_s: float) -> float:
        return min(_LOOK_S, (deadline_s - ctx.ports.clock.monotonic_s()) / 3)

    async def _tell(self, ctx: StepContext, action: str, deadline_s: float) -> _Said:
        """What the agent printed has none of our secrets in it. `code` None: how it ended is not known."""
        left_s = deadline_s - ctx.ports.clock.monotonic_s()
        if left_s <= 0:
            return _Said(None, "no time was left")
        try:
            secrets = {key: ctx.ports.secrets.get(ref) for key, ref in self.given.secrets.items()}
            if any(re.search(r"[\n\r\x00]", value) for value in secrets.values()):
                return _Said(None, "a secret of more than one line can't be handed over")
            lines = {"action": action, **self.given.parameters, **secrets}
            text = "".join(f"{key}={_shown(value)}\n" for key, value in lines.items())
            result = await ctx.ports.here.run([self._program], timeout_s=left_s, stdin=text.encode())
        except BcmError as error:
            return _Said(None, str(error.what))
        printed = masked(f"{result.stdout}\n{result.stderr}", secrets.values())
        said = " ".join(one_line(line) for line in printed.splitlines() if _tells(line))
        if result.exit_code is None:
            return _Said(None, f"it did not end in time; {said}" if said else "it did not end in time")
        return _Said(result.exit_code, said or f"exit code {result.exit_code}")


def _shown(value: Value) -> str:
    """Agents read flags as 1 and 0."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _tells(line: str) -> bool:
    """Python's own warnings about an agent's code say nothing of the power."""
    return bool(line.strip()) and "DeprecationWarning" not in line and not line.startswith("  ")
