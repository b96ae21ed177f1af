"""A unit of a node's service manager: what it was before the step, and what it is now.

What it was is kept on the node, in a directory that a reboot empties, before anything is asked of the
manager: so a later look tells a unit that was restarted from one that was not, and what is taken back is only
what the step has done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field

from model.errors import BcmError, NodeAccessError
from model.execution import Effect, Precheck, Reconciled, StepResult
from probes.systemd import RUNNING, USER_RUNTIME, UnitName
from probes.texts import one_line
from runbooks.actions.base import StepContext
from runbooks.actions.nodes import NodeOptions, access_to, node_name
from runbooks.actions.signature import signature

Verb = Literal["look", "start", "stop", "restart"]

_PROPERTIES: Final = "LoadState,ActiveState,SubState,Result,Type,InvocationID"
# Arguments: manager, verb, unit, name of the mark. Prints the properties after it, the mark as `Mark=`, and
# the exit code of systemctl as `Exit=`.
_SCRIPT: Final = (
    "manager=$1 verb=$2 unit=$3 mark=$4; set --\n"
    f'if [ "$manager" = user ]; then {USER_RUNTIME}; set -- --user; fi\n'
    'if [ "$manager" = system ] && [ "$(id -u)" = 0 ]; then run=/run; '
    "else run=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; fi\n"
    "mark=$run/bcm-failover-marks/$mark\n"
    f'show() {{ systemctl "$@" show --no-pager -p {_PROPERTIES} -- "$unit"; }}\n'
    'if [ "$verb" != look ]; then\n'
    '  if [ ! -e "$mark" ]; then\n'
    '    mkdir -p -m 0700 -- "${mark%/*}" && state=$(show "$@") || exit 75\n'
    """    printf '%s' "$state" | tr '\\n' ' ' >"$mark.new" && mv -- "$mark.new" "$mark" || exit 75\n"""
    "  fi\n"
    '  systemctl "$@" --no-pager --no-ask-password "$verb" -- "$unit"; echo "Exit=$?"\n'
    "fi\n"
    'show "$@" || exit\n'
    'echo "Mark=$(cat -- "$mark" 2>/dev/null)"\n'
)
_NOT_KEPT: Final = 75


class UnitOptions(NodeOptions):
    """Which unit, on which node, of which manager."""

    unit: UnitName = Field(description="Name of the unit, such as haproxy.service.")
    manager: Literal["system", "user"] = Field(
        "system", description="user: the manager of the account that node access logs in as."
    )


class UnitChangeOptions(UnitOptions):
    """As whom the manager is asked."""

    user: str = Field(
        "root", description="Account that asks the manager of the system; by sudo, if the login is another."
    )


@dataclass(frozen=True, slots=True)
class State:
    """As the manager words it."""

    load: str
    active: str
    sub: str
    result: str
    type: str
    invocation: str

    @property
    def runs(self) -> bool:
        return self.active in RUNNING

    @property
    def moves(self) -> bool:
        """It is on its way to another state."""
        return self.active in ("activating", "deactivating")

    @property
    def ended_well(self) -> bool:
        """A unit that does its work and ends, and has done so."""
        return self.type == "oneshot" and self.active == "inactive" and self.result == "success"

    def __str__(self) -> str:
        why = f": {self.result}" if self.active == "failed" else ""
        return f"{self.active} ({self.sub}){why}"


@dataclass(frozen=True, slots=True)
class Seen:
    """before: None where the step has asked nothing of the manager yet. exit_code: of what was asked now."""

    now: State
    before: State | None
    exit_code: int | None
    said: str


class Unit:
    """One unit for one step."""

    def __init__(self, ctx: StepContext, options: UnitOptions) -> None:
        self._ctx = ctx
        self._options = options
        self.name = options.unit

    @property
    def where(self) -> str:
        user = self._user()
        return f"node {node_name(self._ctx, self._options)}" + (f" as {user}" if user else "")

    def shown(self, verb: str) -> str:
        words = ["systemctl", *(["--user"] if self._options.manager == "user" else []), verb, "--", self.name]
        return access_to(self._ctx, self._options).describe(words, user=self._user())

    async def ask(self, verb: Verb, deadline_s: float) -> Seen:
        """Do it, or only look. Raises NodeAccessError, of which UnsettledError is one."""
        argv = ["sh", "-c", _SCRIPT, "sh", self._options.manager, verb, self.name, signature(self._ctx)]
        node = node_name(self._ctx, self._options)
        result = await access_to(self._ctx, self._options).run(
            argv, timeout_s=self._ctx.left_s(deadline_s), user=self._user()
        )
        said = one_line(result.stderr)
        if result.exit_code is None:
            raise UnsettledError(f"systemctl did not end in time: {said}", where=f"node {node}")
        if result.exit_code == _NOT_KEPT:
            raise NodeAccessError(f"what the unit was can't be kept there: {said}", where=f"node {node}")
        found = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
        if result.exit_code != 0 or "ActiveState" not in found:
            raise NodeAccessError(f"systemctl does not tell the state: {said}", where=f"node {node}")
        words = found.get("Mark", "")
        before = dict(word.partition("=")[::2] for word in words.split())
        code = found.get("Exit")
        return Seen(_state(found), _state(before) if before else None, int(code) if code else None, said)

    def _user(self) -> str | None:
        if self._options.manager == "user" or not isinstance(self._options, UnitChangeOptions):
            return None
        return self._options.user or None


class UnsettledError(NodeAccessError):
    """The manager was asked, and nobody knows what came of it."""


def _state(found: Mapping[str, str]) -> State:
    return State(
        load=found.get("LoadState", ""),
        active=found.get("ActiveState", ""),
        sub=found.get("SubState", ""),
        result=found.get("Result", ""),
        type=found.get("Type", ""),
        invocation=found.get("InvocationID", ""),
    )


def outputs(seen: Seen) -> dict[str, Any]:
    """changed: it was another before the step."""
    before = seen.before
    changed = before is not None and (before.active, before.invocation) != (
        seen.now.active,
        seen.now.invocation,
    )
    return {"active_state": seen.now.active, "sub_state": seen.now.sub, "changed": changed}


def of_one_that_ends(unit: Unit, seen: Seen) -> Reconciled | None:
    """Of a unit that does its work and ends: systemd forgets it soon after, and then nothing tells a run that
    nobody saw from none. None for any other unit, and where nothing was asked of the manager yet."""
    if not seen.now.ended_well or seen.before is None:
        return None
    if seen.exit_code == 0 or seen.now.invocation != seen.before.invocation:
        return Reconciled.done(f"{unit.name} has done its work", **(outputs(seen) | {"changed": True}))
    return Reconciled.unknown(f"{unit.name} is {seen.now}: whether it has done its work is not known")


async def precheck(ctx: StepContext, unit: Unit) -> list[Precheck]:
    """Is there such a unit, and how is it?"""
    try:
        now = (await unit.ask("look", ctx.ports.clock.monotonic_s() + 5.0)).now
        ok, result = now.load == "loaded", str(now) if now.load == "loaded" else f"the unit is {now.load}"
    except BcmError as error:
        ok, result = False, str(error.what)
    return [
        Precheck(
            what=f"unit {unit.name}",
            how=unit.shown("status"),
            ok=ok,
            result=result,
            why="the step acts on it",
            if_failed="mend the unit's name, or the access to the node",
        )
    ]


async def acted(ctx: StepContext, unit: Unit, verb: Verb, deadline_s: float) -> Seen | StepResult:
    """What is seen after it, or the result where that is not to be had or systemctl refused."""
    try:
        seen = await unit.ask(verb, deadline_s)
    except UnsettledError as error:
        return StepResult.unknown(str(error))
    except BcmError as error:
        return StepResult.failed(str(error))
    if seen.exit_code != 0:
        text = f"systemctl {verb} ended with {seen.exit_code}: {seen.said}; {unit.name} is {seen.now}"
        return StepResult.failed(text, **outputs(seen))
    return seen


async def looked(unit: Unit, deadline_s: float) -> Seen | Reconciled:
    try:
        return await unit.ask("look", deadline_s)
    except BcmError as error:
        return Reconciled.unknown(str(error))


def result_of(effect: Reconciled) -> StepResult:
    """Of a step that has been run, after the look at its effect."""
    match effect.effect:
        case Effect.DONE:
            return StepResult.ok(effect.detail, **effect.output)
        case Effect.NOT_DONE:
            return StepResult.failed(effect.detail)
        case Effect.UNKNOWN:
            return StepResult.unknown(effect.detail)
