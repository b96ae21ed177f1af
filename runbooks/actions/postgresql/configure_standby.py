"""postgresql.configure_standby: a stopped member becomes a standby of the present primary (P17).

postgresql.auto.conf came from the source with a rewind or a copy: it has the primary's conninfo from another
life, and its synchronous names. What this product owns in it is written anew before the server starts.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.conninfo import conninfo_for
from runbooks.actions.postgresql.rejoining import (
    AUTO_CONF,
    STANDBY_SIGNAL,
    RejoinOptions,
    present_primary,
    rejoining_member,
)
from runbooks.actions.postgresql.server import Server
from runbooks.actions.postgresql.settings import OWNED
from runbooks.actions.postgresql.slots import ensure_slot
from runbooks.actions.together import explain

# Of the source, if it came with a rewind: two standbys can't stream with one slot.
_SLOT: Final = "primary_slot_name"


class ConfigureStandby(Action):
    """Needs a stopped server. Output: `written`, the names that were set."""

    name: ClassVar[str] = "postgresql.configure_standby"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("written",)

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member = rejoining_member(ctx, self._options)
        owned, dropped = ", ".join(self._settings(ctx)), ", ".join((*OWNED[1:], _SLOT))
        return [
            f"{member.node}: {member.data_dir / AUTO_CONF}: set {owned}; drop {dropped}",
            f"{member.node}: create {member.data_dir / STANDBY_SIGNAL}",
        ]

    def where(self, ctx: StepContext) -> str:
        member = rejoining_member(ctx, self._options)
        return f"node {member.node} as {member.os_user}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            server = Server(ctx, rejoining_member(ctx, self._options))
            if await server.processes():
                return StepResult.failed(f"{server.member.name} runs: its files are not ours to change")
            settings = self._settings(ctx)
            await ensure_slot(ctx, server.member, present_primary(ctx, self._options))
            text = rewritten(await server.read_text(AUTO_CONF), settings)
            await server.write_text(AUTO_CONF, text)
            await server.write_text(STANDBY_SIGNAL, "")
        except BcmError as error:
            return StepResult.failed(str(error))
        except SqlError as error:
            return StepResult.failed(f"its replication slot could not be made: {explain(error)}")
        return StepResult.ok(f"set: {', '.join(settings)}", written=list(settings))

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """Written again rather than guessed."""
        return Reconciled.not_done("it is written again")

    def _settings(self, ctx: StepContext) -> dict[str, str]:
        member, primary = rejoining_member(ctx, self._options), present_primary(ctx, self._options)
        found = {"primary_conninfo": conninfo_for(member, primary, ctx.pg)}
        if member.slot is not None:
            found[_SLOT] = member.slot
        return found


def rewritten(text: str, settings: dict[str, str]) -> str:
    """The file without what this product owns, and with `settings` at its end."""
    mine = {*OWNED, _SLOT, *settings}
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip().lower() not in mine]
    return "\n".join((*kept, *(f"{name} = {_quoted(value)}" for name, value in settings.items()))) + "\n"


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
