"""postgresql.rewind: take back what the old primary wrote and nobody else has (POSTGRESQL P17).

Its exit code proves nothing (15 exits with 0 and leaves divergent rows where a checkpoint was missing): the
proof is that the member streams on the new timeline afterwards.
"""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.postgresql.moving import while_moving
from runbooks.actions.postgresql.rejoining import (
    STANDBY_SIGNAL,
    RejoinOptions,
    config_file,
    lineage_of,
    passfile_env,
    present_primary,
    refuse_strange_files,
    rejoining_member,
    source_conninfo,
)
from runbooks.actions.postgresql.server import Server


class Rewind(Action):
    """Output: `rewound` (false: a base backup is needed), `said` (the end of what pg_rewind said)."""

    name: ClassVar[str] = "postgresql.rewind"
    Options: ClassVar[type[ActionOptions]] = RejoinOptions
    tells_progress: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("rewound", "said")

    def __init__(self, options: RejoinOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        server = Server(ctx, rejoining_member(ctx, self._options))
        return [server.shown(self._command(ctx, server))]

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
            # Without a living process behind it the file only stands in the way: pg_rewind lets a crashed
            # server recover first, which refuses to start beside a pid that by now may be somebody else's.
            await server.remove("postmaster.pid")
            # That recovery runs in single-user mode, which knows no standbys.
            await server.remove(STANDBY_SIGNAL)
            try:
                await _finish_recovery(server, max(deadline_s - clock.monotonic_s(), 1.0))
                work = server.run(
                    self._command(ctx, server),
                    timeout_s=max(deadline_s - clock.monotonic_s(), 1.0),
                    env=passfile_env(server.member),
                )
                result = await while_moving(ctx, server, "pg_rewind", work)
            finally:
                # Whatever came of it: whoever starts this member by hand must not get a second primary.
                await server.write_text(STANDBY_SIGNAL, "")
        except BcmError as error:
            return StepResult.failed(str(error))
        said = " | ".join((result.stderr or result.stdout).strip().splitlines()[-3:])
        if result.exit_code is None:
            return StepResult.ok("pg_rewind did not end in time", rewound=False, said=said)
        if not result.ok:
            return StepResult.ok(f"pg_rewind can't: {said}", rewound=False, said=said)
        return StepResult.ok(f"pg_rewind: {said}", rewound=True, said=said)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        """An interrupted one leaves no trace that can be trusted, and may be run again."""
        return Reconciled.not_done("whether it came to its end can't be seen; it is run again")

    def _command(self, ctx: StepContext, server: Server) -> list[str]:
        member = server.member
        source = source_conninfo(ctx, member, present_primary(ctx, self._options))
        database = ctx.pg.postgresql.database  # that holds the role's rights
        config = config_file(member)
        extra = [f"--config-file={config}"] if config else []
        # -R: from the moment that it has the primary's data it must not start as a second one, whatever
        # becomes of us. What it writes is no setting to live with: it leaves out application_name.
        return server.program(
            "pg_rewind", "--write-recovery-conf", f"--target-pgdata={member.data_dir}",
            f"--source-server={source} dbname={database}", *extra,
        )  # fmt: skip


async def _finish_recovery(server: Server, timeout_s: float) -> None:
    """As pg_rewind itself does for a server that crashed, for one whose crash recovery was interrupted."""
    data = await server.control_data()
    if data is None or not data.recovery_interrupted:
        return
    config = config_file(server.member)
    extra = ["-c", f"config_file={config}"] if config else []
    argv = server.program(
        "postgres", "--single", "-F", "-D", str(server.member.data_dir), *extra, "template1"
    )
    result = await server.run(argv, timeout_s=timeout_s, stdin=b"")
    if not result.ok:
        said = " | ".join(result.stderr.strip().splitlines()[-3:])
        raise BcmError(f"its crash recovery could not be finished: {said}", where=server.member.name)
