"""What holds up replay on a standby is ended: it keeps the receiver alive whatever the setting says (P5), and
a promotion waits for it (P12)."""

from __future__ import annotations

from model.ports import SqlError
from runbooks.actions.postgresql.locks import Locked
from runbooks.actions.postgresql.sessions import end_conflicting
from runbooks.actions.postgresql.state import StandbyState
from runbooks.actions.together import explain


async def unstick(locked: Locked, state: StandbyState) -> str | None:
    """What was done, for people; None if there was nothing to do. `recovery_min_apply_delay` is left alone:
    it is there on purpose. Raises SqlError if replay can't be resumed."""
    if state.paused:
        await locked.query("SELECT pg_wal_replay_resume()")
        return f"{locked.member}: replay was paused, resumed"
    try:
        ended = await end_conflicting(locked)
    except SqlError as error:
        return f"{locked.member}: sessions that hold up replay could not be ended ({explain(error)})"
    return f"{locked.member}: ended sessions that held up replay" if ended else None
