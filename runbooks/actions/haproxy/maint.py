"""haproxy.maint: a server gets no traffic at all, nor checks; with `cut` its open sessions are ended too."""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.base import Flag
from runbooks.actions.haproxy.server_state import MAINT, READY
from runbooks.actions.haproxy.target import ServerOptions
from runbooks.actions.haproxy.to_state import ToState


class MaintOptions(ServerOptions):
    cut: Flag = Field(False, description="End its open sessions, and see that none is left.")


class Maint(ToState):
    """Undo: the state before; sessions that were ended do not come back. Output: see `ToState`."""

    name: ClassVar[str] = "haproxy.maint"
    Options = MaintOptions
    state: ClassVar[str] = MAINT
    back: ClassVar[str] = READY

    @property
    def cuts(self) -> bool:
        return cast("MaintOptions", self.options).cut
