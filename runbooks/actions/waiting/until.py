"""wait.until: until a member or a declared probe is seen to be up, or down."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from config.durations import Seconds
from model.errors import RunbookError
from model.execution import Precheck, StepResult
from model.health import Health
from model.ports import Sighting
from runbooks.actions.base import Action, ActionOptions, StepContext

_LOOK_S: Final = 0.05


class UntilOptions(ActionOptions):
    """Whom to watch, and what it must become."""

    probe: str = Field("", description="Name of a declared probe (`probes` of the estate).")
    member: str = Field("", description="Name of a member of the service, as its engine's probe sees it.")
    becomes: Literal["up", "down"] = Field("up", description="What it must become.")
    stays: Seconds = Field(0.0, ge=0, description="So long it must be so without a break.")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if bool(self.probe) == bool(self.member):
            raise ValueError("give `probe` or `member`, and not both")
        return self


class Until(Action):
    """Waits, at most for its time-out. Only attempts that began after the step count: what was seen before
    says nothing of what the steps before have done.

    At the end of the time another health is a failure, and `unknown`, or no attempt since the step began,
    is an unknown outcome.

    Output: `health` as it was seen last (up, suspect, down, unknown); `waited_ms`.
    """

    name: ClassVar[str] = "wait.until"
    Options: ClassVar[type[ActionOptions]] = UntilOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("health", "waited_ms")

    def __init__(self, options: UntilOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        stays = f", for {self._options.stays:g} s" if self._options.stays else ""
        return [f"until {self._target(ctx)} is {self._options.becomes}{stays}"]

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        seen = ctx.ports.sighting(self._target(ctx))
        return [
            Precheck(
                what=f"{self._target(ctx)} is watched",
                how="ask what its probe sees now",
                ok=seen is not None,
                result="nobody watches it" if seen is None else f"{seen.health.value}: {seen.why}",
                why="the step waits for it",
                if_failed="declare the probe in the estate, or mend the name",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock, target = ctx.ports.clock, self._target(ctx)
        began_s = clock.monotonic_s()
        so_since_s: float | None = None
        while True:
            seen = ctx.ports.sighting(target)
            if seen is None:
                return StepResult.failed(f"nobody watches {target}", health=Health.UNKNOWN.value, waited_ms=0)
            now_s = clock.monotonic_s()
            fresh = seen.began_s is not None and seen.began_s >= began_s
            found = {"health": seen.health.value, "waited_ms": round((now_s - began_s) * 1000)}
            if fresh and seen.health.value == self._options.becomes:
                so_since_s = now_s if so_since_s is None else so_since_s
                if now_s - so_since_s >= self._options.stays:
                    return StepResult.ok(f"{target} is {seen.health.value}", **found)
            else:
                so_since_s = None
            if now_s >= deadline_s:
                return _at_the_end(target, seen, fresh, found)
            await clock.sleep(min(_LOOK_S, deadline_s - now_s))

    def _target(self, ctx: StepContext) -> str:
        """Raises RunbookError."""
        if self._options.probe:
            return f"probe/{self._options.probe}"
        if self._options.member not in ctx.service.members:
            raise RunbookError(
                f"{ctx.service.name} has no member {self._options.member!r}",
                hint=f"there are: {', '.join(ctx.service.members)}",
            )
        return f"{ctx.service.name}/{self._options.member}"


def _at_the_end(target: str, seen: Sighting, fresh: bool, found: dict[str, str | int]) -> StepResult:
    if not fresh:
        return StepResult.unknown(f"{target} was not looked at since the step began", **found)
    outcome = StepResult.unknown if seen.health is Health.UNKNOWN else StepResult.failed
    return outcome(f"{target} is {seen.health.value}: {seen.why}", **found)
