"""fence.service_stop: a unit of a node is masked, stopped, and seen to be without a process.

Masked first: nobody, and no `Restart=`, starts it again between the stop and the look. The mask is of this
boot; after a reboot the unit starts as it is set up to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, cast

from pydantic import Field

from config.durations import Seconds, format_duration
from model.errors import BcmError, NodeAccessError
from model.execution import Precheck, Reconciled, StepResult
from probes.systemd import USER_RUNTIME
from probes.texts import one_line
from runbooks.actions.base import Action, StepContext
from runbooks.actions.nodes import access_to, node_name
from runbooks.actions.systemd.unit import UnitChangeOptions

_PROPERTIES: Final = "LoadState,ActiveState,SubState"
# Arguments: manager, verb, unit, seconds of grace. Prints properties, and as `Left=` how many processes the
# unit has still: systemd calls a unit stopped though some are left (KillMode=process).
_SCRIPT: Final = (
    "manager=$1 verb=$2 unit=$3 grace=$4; set --\n"
    f'if [ "$manager" = user ]; then {USER_RUNTIME}; set -- --user; fi\n'
    "export LC_ALL=C\n"
    # Without a bus systemctl writes the mask by itself, and tells the manager nothing.
    'known() { state=$1; shift; case "$(systemctl "$@" show -p LoadState -- "$unit")" in '
    "*=masked) masked=1 ;; *) masked=0 ;; esac; "
    '[ "$masked" = "$state" ] || systemctl "$@" --no-ask-password daemon-reload >&2; }\n'
    'case "$verb" in\n'
    "  stop)\n"
    '    was=$(systemctl "$@" show --no-pager -p LoadState,ActiveState -- "$unit") || exit\n'
    """    printf '%s\\n' "$was" | sed s/^/Was/\n"""
    # A mask would make a unit of any name.
    '    case "$was" in *LoadState=not-found*) echo LoadState=not-found; exit ;; esac\n'
    '    systemctl "$@" --no-ask-password mask --runtime -- "$unit" >&2; known 1 "$@"\n'
    '    timeout "$grace" systemctl "$@" --no-ask-password stop -- "$unit" >&2\n'
    '    systemctl "$@" --no-ask-password kill --kill-who=all -s KILL -- "$unit" >&2\n'
    # Bounded: what counts is what the look says.
    '    timeout 2 systemctl "$@" --no-ask-password stop -- "$unit" >&2 ;;\n'
    "  back)\n"
    '    systemctl "$@" --no-ask-password unmask --runtime -- "$unit" >&2; known 0 "$@"\n'
    '    [ "$grace" = 0 ] || systemctl "$@" --no-ask-password start -- "$unit" >&2 ;;\n'
    "esac\n"
    f'systemctl "$@" show --no-pager -p {_PROPERTIES} -- "$unit" || exit\n'
    """status=$(systemctl "$@" status --no-pager -n0 -- "$unit")\n"""
    """echo "Left=$(printf '%s\\n' "$status" | grep -cE '(\\||`)-[0-9]+ ')"\n"""
)


class ServiceStopOptions(UnitChangeOptions):
    """A unit, and how long it may take to stop in good order."""

    grace: Seconds = Field(
        3.0, ge=1, description="So long it may stop in good order (whole seconds); then it is killed."
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    load: str
    active: str
    sub: str
    left: int
    was: str

    @property
    def missing(self) -> str:
        """Why it is not fenced; '' if it is."""
        if self.load != "masked":
            return f"it is not masked ({self.load}): somebody may start it again"
        if self.active not in ("inactive", "failed"):
            return f"it is {self.active} ({self.sub})"
        return f"{self.left} of its processes are left" if self.left else ""


class ServiceStop(Action):
    """The unit must be all that makes the member acknowledge writes. Where the node can't be reached, or does
    not tell, the outcome is unknown, and nothing is fenced.

    Output: `unit`, `node`; `was`, its state before. Undo: unmasked, and started if it ran before.
    """

    name: ClassVar[str] = "fence.service_stop"
    Options = ServiceStopOptions
    fences: ClassVar[bool] = True
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("unit", "node", "was")

    @property
    def given(self) -> ServiceStopOptions:
        return cast("ServiceStopOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        access, unit = access_to(ctx, self.given), self.given.unit
        words = ["systemctl", *(["--user"] if self.given.manager == "user" else [])]
        after = f"  # after {format_duration(self.given.grace)}"
        return [
            access.describe([*words, "mask", "--runtime", "--", unit], user=self._user),
            access.describe([*words, "stop", "--", unit], user=self._user),
            access.describe([*words, "kill", "-s", "KILL", "--", unit], user=self._user) + after,
        ]

    def where(self, ctx: StepContext) -> str:
        return f"node {node_name(ctx, self.given)}" + (f" as {self._user}" if self._user else "")

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        try:
            seen = await self._ask(ctx, "look", ctx.ports.clock.monotonic_s() + 5.0)
            ok, result = seen.load == "loaded", f"{seen.load}, {seen.active} ({seen.sub})"
        except BcmError as error:
            ok, result = False, str(error.what)
        return [
            Precheck(
                what=f"unit {self.given.unit} on {node_name(ctx, self.given)}",
                how=f"systemctl show -- {self.given.unit}",
                ok=ok,
                result=result,
                why="a fence that can't reach its node does not hold",
                if_failed="mend the unit's name or the access to the node; a power fence needs neither",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            seen = await self._ask(ctx, "stop", deadline_s)
        except BcmError as error:
            return StepResult.unknown(f"nobody knows whether it runs: {error}")
        output = {"unit": self.given.unit, "node": node_name(ctx, self.given), "was": seen.was}
        if seen.missing:
            return StepResult.failed(f"{self.given.unit}: {seen.missing}", **output)
        return StepResult.ok(f"{self.given.unit} is stopped and masked; it was {seen.was}", **output)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            seen = await self._ask(ctx, "look", deadline_s)
        except BcmError as error:
            return Reconciled.unknown(f"nobody knows whether it runs: {error}")
        if seen.missing:
            return Reconciled.not_done(f"{self.given.unit}: {seen.missing}")
        return Reconciled.done(
            f"{self.given.unit} is stopped and masked",
            unit=self.given.unit, node=node_name(ctx, self.given), was="",
        )  # fmt: skip

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """Where what it was is not recorded it is started: who was fenced by mistake ran before."""
        ran = ctx.output(ctx.step).get("was") not in ("inactive", "failed")
        try:
            seen = await self._ask(ctx, "back", deadline_s, start=ran)
        except BcmError as error:
            return StepResult.unknown(str(error))
        if seen.load == "masked" or (ran and seen.active not in ("active", "reloading")):
            return StepResult.failed(f"{self.given.unit} is {seen.load}, {seen.active} ({seen.sub})")
        return StepResult.ok(f"{self.given.unit} is {seen.active}")

    @property
    def _user(self) -> str | None:
        return None if self.given.manager == "user" else self.given.user or None

    async def _ask(self, ctx: StepContext, verb: str, deadline_s: float, *, start: bool = False) -> _Seen:
        """Raises RunbookError and NodeAccessError."""
        number = str(int(start)) if verb == "back" else str(max(int(self.given.grace), 1))
        argv = ["sh", "-c", _SCRIPT, "sh", self.given.manager, verb, self.given.unit, number]
        result = await access_to(ctx, self.given).run(argv, timeout_s=ctx.left_s(deadline_s), user=self._user)
        node = f"node {node_name(ctx, self.given)}"
        if result.exit_code is None:
            raise NodeAccessError("systemctl did not end in time", where=node)
        found = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
        if found.get("LoadState") == "not-found":
            raise NodeAccessError(f"there is no unit {self.given.unit}", where=node)
        if not {"ActiveState", "LoadState", "Left"} <= found.keys() or not found["Left"].isdigit():
            raise NodeAccessError(f"systemctl does not tell: {one_line(result.stderr)}", where=node)
        return _seen(found)


def _seen(found: Mapping[str, str]) -> _Seen:
    return _Seen(
        found["LoadState"], found["ActiveState"], found.get("SubState", ""), int(found["Left"]),
        found.get("WasActiveState", ""),
    )  # fmt: skip
