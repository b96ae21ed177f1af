"""A small world that runbooks of the tests act on, and the actions that act on it.

The world outlives the processes; each process has a number, holds the lock while it lives, and can be killed
before or after any of its effects. A change without the lock is noted as a violation (P7).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from config.durations import Seconds
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from tests.memory_journal import MemoryJournal


@dataclass
class World:
    """cells: state that can be set and set back. tokens: what was done that can't be repeated. effects: every
    change in order, as `process: change`."""

    cells: dict[str, Any] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    locked_by: int | None = None
    effects: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    die_at_effect: int | None = None
    die_after: bool = False
    open_sessions: int = 0

    def change(self, process: Process, text: str, apply: Any) -> None:
        process.journal.dead and process.journal.die()
        if self.locked_by != process.number:
            self.violations.append(f"{process.number} changed {text} without the lock")
        dies = self.die_at_effect == len(self.effects) + 1
        if dies and not self.die_after:
            self.die_at_effect = None
            process.journal.die()
        self.effects.append(f"{process.number}: {text}")
        apply()
        if dies:
            self.die_at_effect = None
            process.journal.die()

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())


@dataclass
class Process:
    """One life of the controller."""

    number: int
    world: World
    journal: MemoryJournal


def process_of(ctx: StepContext) -> Process:
    return cast("Process", ctx.ports.sql)


class _WorldAction(Action):
    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{self.name} {self.options.model_dump(mode='json')}"]


class Lock(_WorldAction):
    name = "test.lock"
    per_process: ClassVar[bool] = True
    outputs = ("holder",)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        process = process_of(ctx)
        process.journal.dead and process.journal.die()
        if process.world.locked_by is not None and process.world.locked_by > process.number:
            return StepResult.failed("a newer process holds the lock")
        process.world.locked_by = process.number
        process.world.open_sessions += 1

        async def release() -> None:
            process.world.open_sessions -= 1
            if process.world.locked_by == process.number:
                process.world.locked_by = None

        ctx.stack.push_async_callback(release)
        ctx.resources["lock"] = process.number
        return StepResult.ok(holder=process.number)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        held = process_of(ctx).world.locked_by == process_of(ctx).number
        return Reconciled.done("held") if held else Reconciled.not_done("not held")


class SetOptions(ActionOptions):
    cell: str
    value: Any
    back: Any = None
    fail_first: int = 0
    """The first so many calls fail."""
    gate: str = ""
    """Waits until the test opens this gate, after the change."""
    lose: bool = False
    """The connection is lost before anything was changed."""


class Set(_WorldAction):
    """Sets a cell; may be repeated and taken back."""

    name = "test.set"
    Options = SetOptions
    outputs = ("was",)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        options = cast("SetOptions", self.options)
        process = process_of(ctx)
        process.world.seen.append(options.cell)
        if process.world.seen.count(options.cell) <= options.fail_first:
            return StepResult.failed("refused")
        if options.lose:
            raise OSError("the connection was lost")
        was = process.world.cells.get(options.cell)
        process.world.change(
            process,
            f"{options.cell}={options.value}",
            lambda: process.world.cells.__setitem__(options.cell, options.value),
        )
        if options.gate:
            await process.world.gate(options.gate).wait()
        return StepResult.ok("set", was=was)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        options = cast("SetOptions", self.options)
        if process_of(ctx).world.cells.get(options.cell) == options.value:
            return Reconciled.done("it is set", was=None)
        return Reconciled.not_done("it is not set")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        options = cast("SetOptions", self.options)
        process = process_of(ctx)
        process.world.change(
            process,
            f"undo {options.cell}",
            lambda: (
                process.world.cells.__setitem__(options.cell, options.back)
                if options.back is not None
                else process.world.cells.pop(options.cell, None)
            ),
        )
        return StepResult.ok("set back")


class TokenOptions(ActionOptions):
    token: str


class Once(_WorldAction):
    """Leaves a token; a second time would be a double effect."""

    name = "test.once"
    Options = TokenOptions
    idempotent: ClassVar[bool] = False

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        token = cast("TokenOptions", self.options).token
        process = process_of(ctx)
        process.world.change(process, f"token {token}", lambda: process.world.tokens.append(token))
        return StepResult.ok(token=token)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        token = cast("TokenOptions", self.options).token
        if token in process_of(ctx).world.tokens:
            return Reconciled.done("the token is there", token=token)
        return Reconciled.not_done("no token")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        token = cast("TokenOptions", self.options).token
        process = process_of(ctx)

        def remove() -> None:
            if token in process.world.tokens:
                process.world.tokens.remove(token)

        process.world.change(process, f"undo token {token}", remove)
        return StepResult.ok()


class Promote(Once):
    """A token that can be left again by an idempotent repetition."""

    name = "test.promote"
    idempotent: ClassVar[bool] = True
    promotes: ClassVar[bool] = True

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        token = cast("TokenOptions", self.options).token
        if token in process_of(ctx).world.tokens:
            return StepResult.ok(token=token)
        return await super().run(ctx, deadline_s)


class Fence(Set):
    name = "test.fence"
    fences: ClassVar[bool] = True


class Late(Once):
    """Its answer was lost; the token may come later."""

    name = "test.late"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return StepResult.unknown("no answer")


class Blind(_WorldAction):
    """Changes something and can't see it afterwards."""

    name = "test.blind"
    Options = TokenOptions
    idempotent: ClassVar[bool] = False

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        token = cast("TokenOptions", self.options).token
        process = process_of(ctx)
        process.world.change(process, f"token {token}", lambda: process.world.tokens.append(token))
        return StepResult.ok()


class ReadOptions(ActionOptions):
    cell: str
    expect: Any = None


class Read(_WorldAction):
    name = "test.read"
    Options = ReadOptions
    changing: ClassVar[bool] = False
    outputs = ("value", "list")

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        options = cast("ReadOptions", self.options)
        process_of(ctx).world.seen.append(f"read {options.cell}")
        value = process_of(ctx).world.cells.get(options.cell)
        if options.expect is not None and value != options.expect:
            return StepResult.failed(f"{options.cell} is {value}, not {options.expect}")
        return StepResult.ok(value=value, list=["a", "b"])

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        return [Precheck("cell", "read", True, "there", "it is read", "set it")]


class BehaveOptions(ActionOptions):
    how: str = "ok"
    gate: str = ""
    wait: Seconds = 0.0


class Behave(_WorldAction):
    """Behaves badly on demand: `fail`, `unknown`, `raise`, `hang`, `float`, `stubborn`, `wait`,
    `move` (for 0.2 s), `stand` (still)."""

    name = "test.behave"
    Options = BehaveOptions
    tells_progress: ClassVar[bool] = True

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        options = cast("BehaveOptions", self.options)
        world = process_of(ctx).world
        world.seen.append(options.how)
        match options.how:
            case "fail":
                return StepResult.failed("it does not work")
            case "unknown":
                return StepResult.unknown("no answer")
            case "raise":
                raise OSError("the connection was lost")
            case "hang":
                await asyncio.Event().wait()
            case "float":
                return StepResult.ok(ratio=0.5)
            case "stubborn":
                while not world.gate("let go").is_set():
                    try:
                        await world.gate("let go").wait()
                    except asyncio.CancelledError:
                        world.seen.append("cancelled")
            case "wait":
                ctx.progress("waiting at the gate")
                world.gate("arrived").set()
                await world.gate(options.gate).wait()
            case "move":
                for done in range(10):
                    ctx.moved(done)
                    await asyncio.sleep(0.02)
            case "stand":
                while True:
                    ctx.moved(1)
                    await asyncio.sleep(0.02)
        return StepResult.ok("behaved")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        process_of(ctx).world.seen.append(f"undo {cast('BehaveOptions', self.options).how}")
        return StepResult.ok()


class BehaveReading(Behave):
    name = "test.behave-reading"
    changing: ClassVar[bool] = False


class NeedsPrimary(Read):
    name = "test.ask-primary"
    needs_primary: ClassVar[bool] = True


ACTIONS: dict[str, type[Action]] = {
    kind.name: kind
    for kind in (Lock, Set, Once, Late, Promote, Fence, Blind, Read, Behave, BehaveReading, NeedsPrimary)
}
