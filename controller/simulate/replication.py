"""Streaming from one server to another: receivers, senders, who has confirmed what (P1, P3, P5, P12)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from controller.simulate.wal import FULL_BYTES, SEGMENT
from model.quorum import SyncSetting, parse_synchronous_standby_names

if TYPE_CHECKING:
    from controller.simulate.postgres import Postgres

# wal_retrieve_retry_interval: a startup process that found no upstream sleeps so long, unless it is woken.
RETRY_S: Final = 5.0
ATTACH_S: Final = 0.012
DETACH_S: Final = 0.006
PROMOTE_S: Final = (0.02, 0.15)
# Bytes a second of a stream that has to catch up.
BANDWIDTH: Final = 25_000_000
# wal_receiver_timeout and wal_sender_timeout.
SILENCE_S: Final = 60.0
# wal_receiver_status_interval: a receiver whose upstream has been started anew gets a reset for an answer.
STATUS_S: Final = 10.0
# A connection that nothing answers is tried anew after so long: SYN is sent again in growing steps.
CONNECT_S: Final = 8.0
# After a start, up to so much is replayed from the last checkpoint, in up to so long.
_REDO_BYTES: Final = 8 << 20
_REDO_S: Final = 1.5
_CONNINFO: Final = "primary_conninfo"
_DELAY: Final = "recovery_min_apply_delay"


@lru_cache(maxsize=512)
def parsed(names: str) -> SyncSetting:
    return parse_synchronous_standby_names(names)


def confirmed_lsn(names: str, senders: list[Stream]) -> int:
    """Up to where enough standbys have what is on disk there."""
    setting = parsed(names)
    if not setting.synchronous:
        return 1 << 62
    star = "*" in setting.names
    wanted = {n.lower(): i for i, n in enumerate(setting.names)}
    acked: list[tuple[int, int]] = []
    for stream in senders:
        rank = wanted.get(stream.application_name.lower())
        if rank is not None or star:
            acked.append((rank or 0, stream.acked_lsn))
    if len(acked) < setting.k:
        return 0
    if setting.method == "FIRST":
        acked.sort(key=lambda pair: pair[0])
        return min(lsn for _rank, lsn in acked[: setting.k])
    return sorted((lsn for _rank, lsn in acked), reverse=True)[setting.k - 1]


class Stream:
    """From `upstream` to `downstream`, while both sides believe in it. taken: the receiver knows of it."""

    __slots__ = ("acked_lsn", "application_name", "downstream", "shipped_lsn", "taken", "upstream")

    def __init__(self, upstream: Postgres, downstream: Postgres) -> None:
        self.upstream = upstream
        self.downstream = downstream
        self.application_name = downstream.application_name
        self.acked_lsn = 0
        self.shipped_lsn = 0
        self.taken = False

    def ship(self) -> None:
        """What the upstream has on disk, as it becomes known."""
        up, down = self.upstream, self.downstream
        lsn, branch = up.flush_lsn, up.branch
        backlog_s = max(0, lsn - self.shipped_lsn - 4096) / BANDWIDTH if self.shipped_lsn else 0.0
        self.shipped_lsn = lsn

        def arrive() -> None:
            if down.standby.stream is self:
                down.do(lambda: down.standby.received(self, branch, lsn))
            elif self.taken or not down.standby.connecting:  # that receiver is long gone: a reset
                self.downstream_ended(silent=False)

        if backlog_s > 0.001:
            up.later(backlog_s, lambda: up.world.network.send(up.host.name, down.host.name, arrive))
        else:
            up.world.network.send(up.host.name, down.host.name, arrive)

    def confirm(self, lsn: int) -> None:
        """The downstream has it on disk, and says so."""
        up = self.upstream

        def arrive() -> None:
            up.do(lambda: self._confirmed(lsn))

        up.world.network.send(self.downstream.host.name, up.host.name, arrive)

    def _confirmed(self, lsn: int) -> None:
        if self in self.upstream.senders and lsn > self.acked_lsn:
            self.acked_lsn = lsn
            self.upstream.release()

    def upstream_ended(self, *, silent: bool) -> None:
        """Its sender is gone. silent: with its host; the receiver learns of it by its own time-out, or when
        it reports where it is."""
        down = self.downstream
        network = down.world.network
        down.later(STATUS_S, lambda: down.standby.report(self))
        if silent:
            down.later(SILENCE_S, lambda: down.standby.stream_ended(self))
        else:
            network.send(
                self.upstream.host.name,
                down.host.name,
                lambda: down.do(lambda: down.standby.stream_ended(self)),
            )

    def downstream_ended(self, *, silent: bool) -> None:
        """Its receiver is gone."""
        up = self.upstream

        def drop() -> None:
            if self in up.senders:
                up.senders.remove(self)
                up.release()

        if silent:
            up.later(SILENCE_S, drop)
        else:
            up.world.network.send(self.downstream.host.name, up.host.name, lambda: up.do(drop))


class Standby:
    """The startup process and the receiver of one server. Idle while it is a primary.

    reported_lsn: pg_last_wal_receive_lsn(), which is not monotonic (P3). followed: the conninfo that the
    startup process goes by, which lags behind the setting while replay is held up (P5).
    """

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self.stream: Stream | None = None
        self.reported_lsn: int | None = None
        self.replay_lsn = 0
        self.followed = ""
        self.paused = False
        self.conflict = False
        self.promoting = False
        self.connecting = False
        self.replaying = False
        self._attempt = 0
        self._starts = 0

    # --- what others see

    @property
    def receiver(self) -> bool:
        """Is a receiver process there?"""
        return self.stream is not None or self.connecting

    @property
    def status(self) -> str:
        if self.stream is not None:
            return "streaming"
        return "starting" if self.connecting else ""

    @property
    def stuck(self) -> bool:
        return self.paused or self.conflict or self._server.live.get(_DELAY, "0") != "0"

    @property
    def wait_event(self) -> tuple[str, str]:
        """(type, event) of the startup process."""
        if self.paused:
            return "IPC", "RecoveryPause"
        if self.conflict:
            return "IPC", "RecoveryConflictSnapshot"
        if self._server.live.get(_DELAY, "0") != "0":
            return "Timeout", "RecoveryApplyDelay"
        if self.replaying:
            return "", ""
        if self.stream is not None or self.connecting:
            return "Activity", "RecoveryWalStream"
        return "Timeout", "RecoveryRetrieveRetryInterval"

    @property
    def idle(self) -> bool:
        """Replays at once whatever comes, unless it is held up."""
        return self._server.in_recovery and not self.stuck and not self.replaying

    @property
    def sender_host(self) -> str | None:
        return self.stream.upstream.host.name if self.stream is not None else None

    # --- life

    def started(self) -> None:
        """The server has come up as a standby."""
        server = self._server
        self.promoting = False
        self.paused = False
        self.reported_lsn = None
        self._replay_from_the_checkpoint()
        self.followed = server.live.get(_CONNINFO, "")
        if self.followed:
            # Asked for from the start of a segment; until it comes, that is what it says it has (P3).
            self.reported_lsn = (server.flush_lsn // SEGMENT + 1) * SEGMENT
            self._try()

    def _replay_from_the_checkpoint(self) -> None:
        """Everything on disk is replayed before the startup process listens."""
        server = self._server
        chance, now_s = server.world.chance, server.world.timeline.now_s
        self.replay_lsn = max(
            0, server.flush_lsn - int(_REDO_BYTES * chance.quick(server.host.number, now_s, 1))
        )
        self.replaying = True
        self._starts += 1
        start = self._starts

        def done() -> None:
            if self._starts == start and server.in_recovery:
                self.replaying = False
                if not self.stuck:
                    self.replay_lsn = server.flush_lsn

        server.later(_REDO_S * chance.quick(server.host.number, now_s, 2), done)

    def server_ended(self, *, silent: bool) -> None:
        self._attempt += 1
        self.connecting = False
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.downstream_ended(silent=silent)

    def reloaded(self) -> None:
        """SIGHUP: the startup process goes by the new setting, unless something holds up replay (P5)."""
        if self.stuck:
            return
        self._apply()

    def unstick(self) -> None:
        """What held up replay is gone."""
        server = self._server
        if self.stuck or not server.in_recovery:
            return
        self.replay_lsn = server.flush_lsn
        if self.promoting:
            server.later(0.002, self._finish_promotion)
        else:
            self._apply()

    def _apply(self) -> None:
        wanted = self._server.live.get(_CONNINFO, "")
        if wanted != self.followed:
            self.followed = wanted
            self._attempt += 1
            self.connecting = False
            if self.stream is not None:
                self._server.later(DETACH_S, self._let_go(self.stream, wanted))
            elif wanted:
                self._try()
        elif wanted and self.stream is None:
            self._try()  # it slept, and was woken

    def _let_go(self, stream: Stream, wanted: str) -> Callable[[], None]:
        def ended() -> None:
            if self.stream is stream:
                self.stream = None
                stream.downstream_ended(silent=False)
            if self.followed == wanted and wanted and self.stream is None:
                self._try()

        return ended

    def stream_ended(self, stream: Stream) -> None:
        """By the other side."""
        if self.stream is not stream:
            return
        self.stream = None
        if not self.stuck and self.followed and not self.promoting:
            self._try()

    # --- receiving

    def received(self, stream: Stream, branch: object, lsn: int) -> None:
        server = self._server
        if self.stream is not stream or not server.in_recovery:
            return
        up = stream.upstream
        if server.branch is not branch:
            server.branch = branch  # type: ignore[assignment]
        if lsn > server.flush_lsn:
            if server.free_bytes <= FULL_BYTES:
                server.crash()  # its receiver panics
                return
            server.flush_lsn = lsn
            self.reported_lsn = lsn
            if not self.stuck and not self.replaying:
                self.replay_lsn = lsn
            for below in server.senders:
                below.ship()
        elif self.reported_lsn is None or self.reported_lsn > server.flush_lsn:
            self.reported_lsn = server.flush_lsn
        if up is stream.upstream:
            if server.disk_s > 0.01:
                server.later(server.disk_s, lambda: stream.confirm(lsn))
            else:
                stream.confirm(lsn)

    def _try(self) -> None:
        """Ask the upstream for a stream."""
        server = self._server
        world = server.world
        upstream = world.server_at(self.followed)
        self._attempt += 1
        attempt = self._attempt
        self.connecting = True
        if upstream is None or upstream is server:
            self._failed(attempt)
            return

        def asked() -> None:
            if not upstream.running:
                answer(None)
                return
            upstream.do(lambda: upstream.later(ATTACH_S, admit))

        def admit() -> None:
            answer(self._admitted(upstream))

        def answer(stream: Stream | None) -> None:
            world.network.send(
                upstream.host.name,
                server.host.name,
                lambda: server.do(lambda: self._answered(attempt, stream)),
            )

        world.network.send(server.host.name, upstream.host.name, asked)
        server.later(CONNECT_S, lambda: self._unanswered(attempt))

    def _unanswered(self, attempt: int) -> None:
        if attempt == self._attempt and self.connecting:
            self._try()

    def report(self, stream: Stream) -> None:
        """Where it is, to a sender that is gone: a reset, unless the network keeps that from it."""
        network, up, down = stream.upstream.world.network, stream.upstream.host, self._server.host
        if self.stream is not stream:
            return
        if up.up and network.open(down.name, up.name) and network.open(up.name, down.name):
            self.stream_ended(stream)
        else:
            self._server.later(STATUS_S, lambda: self.report(stream))

    def upstream_restarted(self, upstream: Postgres) -> None:
        """Its old connection is unknown there: the next status report is answered by a reset."""
        stream, server = self.stream, self._server
        if stream is not None and stream.upstream is upstream and stream not in upstream.senders:
            share = server.world.chance.quick(server.host.number, server.world.timeline.now_s)
            server.later(STATUS_S * share, lambda: self.stream_ended(stream))

    def _admitted(self, upstream: Postgres) -> Stream | None:
        """A server that is of another history, or ahead, is refused."""
        server = self._server
        if upstream.process.value != "up" or upstream.branch.system != server.branch.system:
            return None
        shared = upstream.branch.limit_on(server.branch, upstream.flush_lsn)
        if shared is None or server.flush_lsn > shared:
            return None
        stream = Stream(upstream, server)
        upstream.senders.append(stream)
        return stream

    def _answered(self, attempt: int, stream: Stream | None) -> None:
        if attempt != self._attempt or not self._server.in_recovery or self.promoting:
            if stream is not None:
                stream.downstream_ended(silent=False)
            return
        self.connecting = False
        if stream is None:
            self._failed(attempt)
            return
        self.stream = stream
        stream.taken = True
        if stream not in stream.upstream.senders:
            self._server.later(STATUS_S, lambda: self.report(stream))
        up = stream.upstream
        up.do(lambda: stream.ship() if stream in up.senders else None)

    def _failed(self, attempt: int) -> None:
        self.connecting = False

        def again() -> None:
            if attempt == self._attempt and self.stream is None and not self.stuck and self.followed:
                self._try()

        self._server.later(RETRY_S, again)

    # --- promotion

    def promote(self) -> None:
        """It can't be taken back, and takes effect when replay gets through (P12)."""
        server = self._server
        if self.promoting or not server.in_recovery:
            return
        self.promoting = True
        low, high = PROMOTE_S
        takes_s = server.world.chance.between(low, high, "promote", server.name, server.world.timeline.now_s)
        server.later(takes_s + server.world.promote_late_s, self._finish_promotion)

    def _finish_promotion(self) -> None:
        server = self._server
        if not self.promoting or not server.in_recovery or self.stuck:
            return
        self.promoting = False
        self._attempt += 1
        self.connecting = False
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.downstream_ended(silent=False)
        self.followed = ""
        server.promoted()
