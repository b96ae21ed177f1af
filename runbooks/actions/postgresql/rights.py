"""May the control role do what the actions do there (POSTGRESQL P18)? For prechecks."""

from __future__ import annotations

from typing import Final

from model.errors import BcmError
from model.execution import Precheck
from model.ports import SqlError
from runbooks.actions.base import StepContext
from runbooks.actions.postgresql.glance import PRECHECK_S, looking
from runbooks.actions.postgresql.settings import OWNED
from runbooks.actions.together import explain

_FUNCTIONS: Final = ("pg_reload_conf()", "pg_promote(boolean, integer)", "pg_wal_replay_resume()")
_GRANTABLE: Final = 150000  # before 15 ALTER SYSTEM is a superuser's alone
_BASIC: Final = """
SELECT current_setting('server_version_num')::int, rolsuper,
  coalesce(current_setting('allow_alter_system', true), 'on') = 'on', {functions}
FROM pg_roles WHERE rolname = current_user"""


async def precheck_rights(ctx: StepContext, member: str) -> Precheck:
    try:
        missing = await _missing(ctx, member)
        result, ok = (f"missing: {', '.join(missing)}" if missing else "all granted"), not missing
    except SqlError as error:
        result, ok = explain(error), False
    except BcmError as error:
        result, ok = error.what, False
    return Precheck(
        what=f"{ctx.pg.postgresql.roles.control.user} may act on {member}",
        how=f"has_function_privilege(), has_parameter_privilege() in {ctx.pg.postgresql.database}",
        ok=ok,
        result=result,
        why="rights on functions are of one database: that of the locks (P18)",
        if_failed="run the SQL of `bcm-failover init --grants postgresql` in that database, on the primary",
    )


async def _missing(ctx: StepContext, member: str) -> list[str]:
    functions = ", ".join(f"has_function_privilege('{f}', 'execute')" for f in _FUNCTIONS)
    async with looking(ctx, member, ctx.ports.clock.monotonic_s() + PRECHECK_S) as locked:
        [(version, superuser, allowed, *may)] = await locked.query(_BASIC.format(functions=functions))
        missing = [f"EXECUTE on {f}" for f, granted in zip(_FUNCTIONS, may, strict=True) if not granted]
        if not allowed:
            missing.append("allow_alter_system is off")
        if superuser:
            return [m for m in missing if "allow_alter_system" in m]
        if version < _GRANTABLE:
            return [*missing, "ALTER SYSTEM (before PostgreSQL 15 the role must be a superuser)"]
        settings = ", ".join(f"has_parameter_privilege('{name}', 'ALTER SYSTEM')" for name in OWNED)
        [granted] = await locked.query(f"SELECT {settings}")
    return missing + [f"ALTER SYSTEM on {n}" for n, given in zip(OWNED, granted, strict=True) if not given]
