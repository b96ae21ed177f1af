"""haproxy.drain: a server gets no new clients; those that it has go on."""

from __future__ import annotations

from typing import ClassVar, cast

from pydantic import Field

from config.base import Flag
from runbooks.actions.haproxy.server_state import DRAIN, READY
from runbooks.actions.haproxy.target import ServerOptions
from runbooks.actions.haproxy.to_state import ToState


class DrainOptions(ServerOptions):
    empty: Flag = Field(
        False, description="Wait until it has no session left; fails if the time-out comes first."
    )


class Drain(ToState):
    """Undo: the state before. Output: see `ToState`."""

    name: ClassVar[str] = "haproxy.drain"
    Options = DrainOptions
    state: ClassVar[str] = DRAIN
    back: ClassVar[str] = READY

    @property
    def empties(self) -> bool:
        return cast("DrainOptions", self.options).empty
