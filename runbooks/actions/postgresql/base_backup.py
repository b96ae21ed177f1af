"""postgresql.base_backup: a new copy, into a new directory beside the old one, then the two change places.

The old directory stays until the new copy streams (postgresql.discard): it may be the only other copy (P17).
"""

from __future__ import annotations

from typing import ClassVar, Final

from config.schema import PostgresqlMember
from model.errors import BcmError, NodeAccessError
from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.moving import while_moving
from runbooks.actions.postgresql.rejoining import (
    RejoinOptions,
    lineage_of,
    passfile_env,
    present_primary,
    refuse_strange_files,
    rejoining_member,
    source_conninfo,
)
from runbooks.actions.postgresql.server import Server

_NEW: Final = ".bcm-new"
_OLD: Final = ".bcm-old"
# Fixed text; DATA_DIR comes as an argument. The second move can only fail if the first is taken back.
_SWAP: Final = """
set -e
[ ! -e "$1.bcm-old" ]
mv "$1" "$1.bcm-old"
mv "$1.bcm-new" "$1" || { mv "$1.bcm-old" "$1"; exit 1; }
"""


class BaseBackup(Action):
    """Output: `old_copy`, where the replaced data directory is kept for now."""

    name: ClassVar[str] = "postgresql.base_backup"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    tells_progress: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("old_copy",)

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        server = Server(ctx, rejoining_member(ctx, self._options))
        data = server.member.data_dir
        return [
            server.shown(self._command(ctx, server)),
            f"{server.member.node}: mv {data} {data}{_OLD}; mv {data}{_NEW} {data}",
        ]

    def where(self, ctx: StepContext) -> str:
        member = rejoining_member(ctx, self._options)
        return f"node {member.node} as {member.os_user}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock = ctx.ports.clock
        try:
            server = Server(ctx, rejoining_member(ctx, self._options))
            lineage = await lineage_of(ctx, present_primary(ctx, self._options), deadline_s)
            if await server.processes():
                return StepResult.failed(f"{server.member.name} still runs")
            await refuse_strange_files(server, lineage)
            await _refuse_tablespaces(server)
            data = str(server.member.data_dir)
            await _make_way(server, data)
            work = server.run(
                self._command(ctx, server),
                timeout_s=max(deadline_s - clock.monotonic_s(), 1.0),
                env=passfile_env(server.member),
            )
            result = await while_moving(ctx, server, "pg_basebackup", work)
            if not result.ok:
                said = " | ".join(result.stderr.strip().splitlines()[-3:]) or "it did not end in time"
                await server.run(["rm", "-rf", f"{data}{_NEW}"], timeout_s=60.0)
                return StepResult.failed(f"pg_basebackup failed: {said}")
            swapped = await server.run(["sh", "-c", _SWAP, "sh", data])
            if not swapped.ok:
                return StepResult.failed(f"the copies could not change places: {swapped.stderr.strip()}")
        except BcmError as error:
            return StepResult.failed(str(error))
        return StepResult.ok(
            f"a new copy is in {data}, the old one in {data}{_OLD}", old_copy=f"{data}{_OLD}"
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = Server(ctx, rejoining_member(ctx, self._options))
        data = str(server.member.data_dir)
        there = await server.run(["test", "-d", f"{data}{_OLD}"])
        new = await server.run(["test", "-e", f"{data}{_NEW}"])
        if there.ok and not new.ok:
            return Reconciled.done(f"the old copy is in {data}{_OLD}", old_copy=f"{data}{_OLD}")
        return Reconciled.not_done("the copies have not changed places")

    def _command(self, ctx: StepContext, server: Server) -> list[str]:
        member = server.member
        source = source_conninfo(ctx, member, present_primary(ctx, self._options))
        wal = [f"--waldir={_new_wal_dir(ctx, member)}"] if member.wal_dir is not None else []
        # With the settings of a standby: whoever starts the new copy by hand must not get a second primary.
        return server.program(
            "pg_basebackup", "--no-password", "--write-recovery-conf",
            "--checkpoint=fast", "--wal-method=stream",
            f"--pgdata={member.data_dir}{_NEW}", f"--dbname={source}", *wal,
        )  # fmt: skip


class Discard(Action):
    """postgresql.discard: the replaced copy is removed, once the new one streams."""

    name: ClassVar[str] = "postgresql.discard"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    outputs: ClassVar[tuple[str, ...] | None] = ()

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member = rejoining_member(ctx, self._options)
        return [f"{member.node}: rm -rf {member.data_dir}{_OLD}, if it is there"]

    def where(self, ctx: StepContext) -> str:
        member = rejoining_member(ctx, self._options)
        return f"node {member.node} as {member.os_user}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        left_s = max(deadline_s - ctx.ports.clock.monotonic_s(), 1.0)
        try:
            server = Server(ctx, rejoining_member(ctx, self._options))
            path = f"{server.member.data_dir}{_OLD}"
            result = await server.run(["rm", "-rf", path], timeout_s=left_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        if not result.ok:
            return StepResult.failed(f"{path} could not be removed: {result.stderr.strip()[-300:]}")
        return StepResult.ok(f"{path} is not there any more")

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        server = Server(ctx, rejoining_member(ctx, self._options))
        there = await server.run(["test", "-e", f"{server.member.data_dir}{_OLD}"])
        return Reconciled.not_done("it is still there") if there.ok else Reconciled.done("it is gone")


def _new_wal_dir(ctx: StepContext, member: PostgresqlMember) -> str:
    """Beside the old one on the same volume; the new copy links to it."""
    return f"{member.wal_dir}-{ctx.execution.lower()}"


async def _refuse_tablespaces(server: Server) -> None:
    listed = await server.run(["ls", "-A", str(server.member.data_dir / "pg_tblspc")])
    if listed.stdout.strip():
        raise BcmError(
            "it has tablespaces, whose places a second copy would share",
            where=server.member.name,
            hint="make the base backup by hand, with --tablespace-mapping",
        )


async def _make_way(server: Server, data: str) -> None:
    """What an interrupted attempt left. A kept old copy is the only other one, and stays. Raises
    NodeAccessError."""
    await server.run(["rm", "-rf", f"{data}{_NEW}"], timeout_s=60.0)
    kept = await server.run(["test", "-e", f"{data}{_OLD}"])
    if kept.ok:
        raise NodeAccessError(
            f"{data}{_OLD} is still there from before",
            where=server.member.node,
            hint="remove it once you know that it is not needed",
        )
