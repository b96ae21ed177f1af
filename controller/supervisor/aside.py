"""A turn without the lead (S4): people are told, and what the leader writes is followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from controller.supervisor.judgement import Judged
from controller.supervisor.telling import Telling
from controller.supervisor.world import World
from model.events import Event

# What the one that leads has written is read this often; it costs a look at the disk.
FOLLOW_S: Final = 1.0


class Aside:
    """One per supervisor."""

    def __init__(self, service: str, world: World, telling: Telling) -> None:
        self._service = service
        self._world = world
        self._telling = telling
        self._followed_s: float | None = None

    def turn(self, judged: Judged, seq: int) -> Iterable[Event]:
        """What was written after `seq`, where it is time to look. Where another controller leads it pages;
        where nobody does, this one pages all the same."""
        observing = self._world.observing()
        if observing.another_leads:
            self._world.trouble.tell("another controller leads: observing only", observing.why)
        else:
            self._world.trouble.tell("the journal can't be used: observing only", observing.why)
            self._telling.without_journal(judged, observing.why)
        if self._followed_s is not None and judged.at_s - self._followed_s < FOLLOW_S:
            return ()
        self._followed_s = judged.at_s
        return self._world.journal.events(since_seq=seq, service=self._service)
