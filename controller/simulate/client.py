"""A client of a service: it writes all the time, and counts what it was told.

As libpq does with several hosts and target_session_attrs=read-write: one after the other, each with a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from controller.simulate.network import Host
from controller.simulate.postgres import READ_ONLY, Backend, Postgres
from controller.simulate.timeline import Entry, Rhythm
from controller.simulate.wal import Write
from probes.scheduler_timing import Slots

if TYPE_CHECKING:
    from controller.simulate.world import World

DEADLINE_S: Final = 1.0
_AGAIN_S: Final = 0.02
_PLANNED: Final = Rhythm()


class Client:
    """acked: how many writes it was told of. began_s: start of the last one. gaps: (from, to) between two
    acknowledgements further apart than a second."""

    def __init__(
        self, world: World, service: str, name: str, host: Host, members: Sequence[Postgres]
    ) -> None:
        self._world = world
        self.service = service
        self.name = name
        self._host = host
        self._members = list(members)
        pause_s = world.traits.pause_s
        self._slots = Slots(f"client/{name}", pause_s)
        self._planned: Entry | None = None
        self._paused = False
        self._turn = 0
        self._number = 0
        self._try = 0
        self._server: Postgres | None = None
        self._backend: Backend | None = None
        self._limit: Entry | None = None
        self.acked = 0
        self.began_s = 0.0
        self.last_acked_s = world.timeline.now_s
        self.gaps: list[tuple[float, float]] = []
        world.timeline.after(world.chance.between(0.0, pause_s, "client", name), self._connect)

    # --- connecting

    def _connect(self) -> None:
        self._try += 1
        this = self._try
        server = self._members[self._turn % len(self._members)]
        self._server, self._backend = server, None
        self._arm(this)
        network, mine = self._world.network, self._host.name

        def arrived() -> None:
            if not server.running:
                say(None)
            elif not server.postmaster_stopped:
                server.do(lambda: server.later(0.002, admit))

        def admit() -> None:
            found = server.admit("app", "app", mine, partial(self._ended, this))
            if not isinstance(found, Backend):
                say(None)
            elif server.in_recovery or server.live.get(READ_ONLY) == "on":
                server.client_gone(found.pid)
                say(None)
            else:
                say(found)

        def say(backend: Backend | None) -> None:
            network.send(server.host.name, mine, partial(self._connected, this, backend))

        network.send(mine, server.host.name, arrived)

    def _connected(self, this: int, backend: Backend | None) -> None:
        if this != self._try:
            return
        self._disarm()
        if backend is None:
            self._next()
        else:
            self._backend = backend
            self._write(this)

    def _next(self) -> None:
        """The next member; after all of them a short pause."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None
        self._try += 1
        self._turn += 1
        pause_s = _AGAIN_S if self._turn % len(self._members) == 0 else 0.0
        self._world.timeline.after(pause_s, self._connect)

    # --- writing

    def _write(self, this: int) -> None:
        self._planned = None
        if this != self._try or self._server is None:
            return
        server, backend = self._server, self._backend
        self._number += 1
        number = self._number
        self.began_s = self._world.timeline.now_s
        self._arm(this)
        network, mine = self._world.network, self._host.name

        def arrived() -> None:
            server.do(run)

        def run() -> None:
            if backend is not None and backend.pid in server.backends:
                server.commit("client", number, done, backend, self.name)

        def done(sqlstate: str | None) -> None:
            write = Write(server.branch, server.last_acknowledged, "client", number, self.name)
            network.send(server.host.name, mine, partial(self._told, this, write, sqlstate))

        network.send(mine, server.host.name, arrived)

    def _told(self, this: int, write: Write, sqlstate: str | None) -> None:
        if sqlstate is None:  # even if it had given up waiting: it was told
            self._world.audit.heard(self.service, write)
        if this != self._try:
            return
        self._disarm()
        if sqlstate is not None:
            self._give_up()
            return
        now_s = self._world.timeline.now_s
        if now_s - self.last_acked_s > 1.0:
            self.gaps.append((self.last_acked_s, now_s))
        self.last_acked_s = now_s
        self.acked += 1
        self._plan(this)

    def _plan(self, this: int) -> None:
        """Its writes have moments of their own, which do not depend on how long the one before took."""
        if self._paused:
            return
        timeline = self._world.timeline
        self._planned = timeline.at(self._slots.after(timeline.now_s), partial(self._write, this), _PLANNED)

    def _give_up(self) -> None:
        """Shut the socket, never cancel; start again from the first member."""
        server, backend = self._server, self._backend
        if server is not None and backend is not None:
            self._world.network.send(
                self._host.name,
                server.host.name,
                lambda: server.do(lambda: server.client_gone(backend.pid)),
            )
        self._next()

    def _ended(self, this: int, _how: str) -> None:
        if this == self._try:
            self._disarm()
            self._next()

    # --- a quiet stretch

    @property
    def calm(self) -> bool:
        """It is connected, and writes."""
        return self._backend is not None

    @property
    def at_rest(self) -> bool:
        """Nothing of it is under way."""
        return self._backend is not None and self._limit is None

    def pause(self) -> None:
        """Begin nothing."""
        self._paused = True
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    def go_on(self, from_s: float) -> int:
        """After a pause that began at `from_s`: how many writes that left out."""
        self._paused = False
        now_s = self._world.timeline.now_s
        left_out = self._slots.number_after(now_s) - self._slots.number_after(from_s)
        self._number += left_out
        self.acked += left_out
        self.last_acked_s = now_s
        self._plan(self._try)
        return left_out

    # --- limits

    def _arm(self, this: int) -> None:
        self._disarm()
        self._limit = self._world.timeline.after(DEADLINE_S, partial(self._late, this), _PLANNED)

    def _disarm(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _late(self, this: int) -> None:
        if this == self._try:
            self._limit = None
            self._give_up()
