"""haproxy.ready: a server takes traffic again."""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.base import Flag
from runbooks.actions.haproxy.server_state import MAINT, READY
from runbooks.actions.haproxy.target import ServerOptions
from runbooks.actions.haproxy.to_state import ToState


class ReadyOptions(ServerOptions):
    up: Flag = Field(True, description="Wait until HAProxy's own checks, if it has any, find it up.")


class Ready(ToState):
    """Undo: the state before. Output: see `ToState`."""

    name: ClassVar[str] = "haproxy.ready"
    Options = ReadyOptions
    state: ClassVar[str] = READY
    back: ClassVar[str] = MAINT

    @property
    def must_be_up(self) -> bool:
        return cast("ReadyOptions", self.options).up
