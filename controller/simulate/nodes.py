"""Node access of a simulated controller: the commands that the product's actions give, done on the simulated
hosts. One that is not known here is a fault of the simulator, and said so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from controller.simulate.loop import VirtualLoop
from controller.simulate.network import KEEPALIVE_S
from controller.simulate.postgres import Postgres
from controller.simulate.statements import UnknownStatementError
from model.errors import NodeAccessError
from model.lsn import format_lsn
from model.ports import CommandResult

if TYPE_CHECKING:
    from controller.simulate.world import World

# A host that does not answer is given up after so long.
UNREACHABLE_S: Final = 5.0
_SHELL_S: Final = 0.02
_LOOK_S: Final = 0.015
_REWIND_S: Final = 0.5
_MISSED: Final = 3  # keepalives, before a copying tool gives its source up
_COPY_S: Final = 4.0

# Called with the exit code, stdout and stderr.
Finish = Callable[[int, str, str], None]


class SimulatedNode:
    """model.ports.NodeAccess, of one node for one controller."""

    def __init__(self, world: World, loop: VirtualLoop, host: str, node: str) -> None:
        self._world = world
        self._loop = loop
        self._host = host
        self._node = node

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        world = self._world
        began_s = world.timeline.now_s
        waiting: asyncio.Future[Any] = self._loop.create_future()
        reached = False

        def arrived() -> None:
            nonlocal reached
            reached = True
            self._loop.deliver(self._keep_alive, waiting, world.network.hosts[self._node].fate, 0)
            world.timeline.after(_SHELL_S, lambda: world.network.hosts[self._node].do(begin))

        def begin() -> None:
            Command(world, self._node, argv, stdin or b"", answer).run()

        def answer(code: int, out: str, err: str) -> None:
            result = CommandResult(code, out, err, world.timeline.now_s - began_s)
            world.network.send(self._node, self._host, lambda: self._loop.deliver(told, result))

        def told(result: CommandResult) -> None:
            if not waiting.done():
                waiting.set_result(result)

        world.network.send(self._host, self._node, arrived)
        patience = self._loop.call_later(
            min(timeout_s, UNREACHABLE_S), self._unreached, waiting, lambda: reached
        )
        limit = self._loop.call_later(timeout_s, self._timed_out, waiting, timeout_s)
        try:
            result: CommandResult = await waiting
        finally:
            patience.cancel()
            limit.cancel()
        return result

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return " ".join(argv[:6])

    def _unreached(self, waiting: asyncio.Future[Any], reached: Callable[[], bool]) -> None:
        if not waiting.done() and not reached():
            waiting.set_exception(NodeAccessError("it does not answer", where=f"node {self._node}"))

    def _keep_alive(self, waiting: asyncio.Future[Any], fate: int, missed: int) -> None:
        """Of the connection that a command runs over: a host that is gone, or was away, ends it."""
        if waiting.done():
            return
        there, missed = self._world.network.kept_alive(self._host, self._node, missed)
        if missed > 1 or (there and self._world.network.hosts[self._node].fate != fate):
            waiting.set_exception(NodeAccessError("the connection was lost", where=f"node {self._node}"))
        else:
            self._loop.call_later(KEEPALIVE_S, self._keep_alive, waiting, fate, missed)

    def _timed_out(self, waiting: asyncio.Future[Any], timeout_s: float) -> None:
        if not waiting.done():
            waiting.set_result(CommandResult(None, "", "", timeout_s))


class Command:
    """One command on a node, until it has ended there. It goes on if its caller dies."""

    def __init__(self, world: World, node: str, argv: Sequence[str], stdin: bytes, finish: Finish) -> None:
        self._world = world
        self._node = node
        self._argv = list(argv)
        self._stdin = stdin
        self._finish = finish

    def run(self) -> None:
        argv = self._argv
        program = argv[0].rsplit("/", 1)[-1]
        if program == "sh":
            self._shell()
        elif program == "test":
            self._done(0 if self._exists(argv[2]) else 1)
        elif program == "cat":
            self._cat(argv[1])
        elif program == "rm":
            self._remove(argv[-1])
        elif program == "ls":
            self._done(0)
        elif program == "systemctl":
            self._systemctl()
        elif program in _PROGRAMS:
            _PROGRAMS[program](self)
        else:
            raise UnknownStatementError(" ".join(argv))

    def _done(self, code: int, out: str = "", err: str = "") -> None:
        self._finish(code, out, err)

    def _after(self, seconds: float, work: Callable[[], None]) -> None:
        world, host = self._world, self._world.network.hosts[self._node]
        fate = host.fate
        world.timeline.after(seconds, lambda: host.do(work) if host.fate == fate else None)

    def _server(self, path: str) -> Postgres:
        return self._world.server_of_dir(self._node, path)

    # --- scripts

    def _shell(self) -> None:
        script, argv = self._argv[2], self._argv[4:]
        if "case $2 in" in script:
            self._look(argv[0], argv[1], argv[2:])
        elif "umask 077" in script:
            self._write(argv[0])
        elif ".bcm-old" in script:
            self._swap(argv[0])
        else:
            raise UnknownStatementError(script)

    def _look(self, directory: str, verb: str, more: Sequence[str]) -> None:
        server = self._server(directory)
        if verb == "list":
            state = "T" if server.stopped_by_signal else "S"
            self._done(0, f"{1000 + server.life} {state}\n" if server.running else "")
        elif verb == "kill":
            self._world.audit.node_change(self._node, "kill -9")
            server.crash()
            self._done(0)
        elif verb == "io":
            self._done(0)  # nothing here moves bytes: how far a program is can't be seen
        elif verb == "wait":
            if len(more) > 1 and not self._ask(more[1:]):
                self._done(4)
                return
            self._wait_gone(server, int(more[0]))
        else:
            self._stays_away(server, int(more[0]))

    def _ask(self, command: Sequence[str]) -> bool:
        """A command that asks a server to stop."""
        program = command[0].rsplit("/", 1)[-1]
        self._world.audit.node_change(self._node, " ".join(command))
        if program == "pg_ctl":
            server = self._server(command[command.index("-D") + 1])
            if not server.running:
                return False
            server.stop(command[command.index("-m") + 1])
            return True
        for server in self._world.servers_on(self._node):
            server.masked = True
            server.stop("immediate" if "kill" in command else "fast")
        return True

    def _wait_gone(self, server: Postgres, tries: int) -> None:
        if not server.running:
            self._done(0)
        elif tries <= 1:
            self._done(3)
        else:
            self._after(_LOOK_S * min(4, tries), lambda: self._wait_gone(server, tries - 4))

    def _stays_away(self, server: Postgres, tries: int) -> None:
        if server.running:
            self._done(3)
        elif tries <= 0:
            self._done(0)
        else:
            self._after(0.05, lambda: self._stays_away(server, tries - 1))

    # --- files

    def _exists(self, path: str) -> bool:
        server = self._server(path)
        if path.endswith(".bcm-old"):
            return server.kept_copy is not None
        if path.endswith(".bcm-new"):
            return False
        if path.endswith("standby.signal"):
            return server.standby_signal
        return not server.empty

    def _cat(self, path: str) -> None:
        server = self._server(path)
        if server.empty:
            self._done(1, "", "no such file")
            return
        text = "".join(f"{k} = '{v}'\n" for k, v in server.conf.items())
        self._done(0, text)

    def _write(self, path: str) -> None:
        server = self._server(path)
        self._world.audit.node_change(self._node, f"write {path}")
        if path.endswith("standby.signal"):
            server.standby_signal = True
        else:
            server.conf = _parsed_conf(self._stdin.decode())
        self._done(0)

    def _remove(self, path: str) -> None:
        server = self._server(path)
        if path.endswith(".bcm-old"):
            server.kept_copy = None
        elif path.endswith("standby.signal"):
            server.standby_signal = False
        self._done(0)

    def _swap(self, directory: str) -> None:
        server = self._server(directory)
        copy = self._world.copies.pop((self._node, server.name), None)
        if copy is None or server.kept_copy is not None:
            self._done(1, "", "no new copy")
            return
        server.kept_copy = (server.branch, server.flush_lsn)
        server.branch, server.flush_lsn, server.conf, server.standby_signal = copy
        server.clean = True
        server.standby.replay_lsn = server.flush_lsn
        self._done(0)

    # --- programs

    def _systemctl(self) -> None:
        verb = self._argv[1]
        for server in self._world.servers_on(self._node):
            if verb == "stop":
                server.masked = True
                server.stop()
            elif verb == "mask":
                server.masked = True
            elif verb == "unmask":
                server.masked = False
            elif verb == "start":
                self._start(server)
                return
        self._done(0)

    def _pg_ctl(self) -> None:
        server = self._server(self._argv[self._argv.index("-D") + 1])
        if "start" in self._argv:
            self._start(server)
        else:
            self._ask(self._argv)
            self._done(0)

    def _start(self, server: Postgres) -> None:
        self._world.audit.node_change(self._node, "start")
        server.masked = False
        server.start()
        self._wait_up(server, 400)

    def _wait_up(self, server: Postgres, tries: int) -> None:
        if server.process.value == "up":
            self._done(0)
        elif not server.running or tries <= 0:
            self._done(1, "", "could not start server")
        else:
            self._after(0.05, lambda: self._wait_up(server, tries - 1))

    def _controldata(self) -> None:
        server = self._server(self._argv[self._argv.index("-D") + 1])
        if server.empty:
            self._done(1, "", "could not open file")
            return
        state = "in production" if server.running or not server.clean else "shut down"
        if server.standby_signal:
            state = "in archive recovery" if server.running else "shut down in recovery"
        checkpoint = max(server.flush_lsn - 96, 0)
        lines = {
            "Database system identifier": server.branch.system,
            "Database cluster state": state,
            "Latest checkpoint location": format_lsn(checkpoint),
            "Latest checkpoint's TimeLineID": str(server.branch.number),
            "Minimum recovery ending location": format_lsn(server.flush_lsn if server.standby_signal else 0),
        }
        self._done(0, "".join(f"{k}:  {v}\n" for k, v in lines.items()))

    def _single(self) -> None:
        self._server(self._argv[self._argv.index("-D") + 1]).clean = True
        self._done(0)

    def _rewind(self) -> None:
        self._world.audit.node_change(self._node, "pg_rewind")
        target = self._server(_option(self._argv, "--target-pgdata="))
        source = self._world.server_at(_option(self._argv, "--source-server="))
        self._reach(source, _REWIND_S, lambda: self._rewound(target, source))

    def _rewound(self, target: Postgres, source: Postgres | None) -> None:
        if source is None or not source.running or source.in_recovery or target.running:
            self._done(1, "", "could not connect to server")
        elif self._world.rewind_fails or source.branch.system != target.branch.system:
            self._done(1, "", "could not find previous WAL record")
        elif source.checkpointed is not source.branch:
            self._done(0, "", "no rewind required")  # P17: without a checkpoint on the new primary
        else:
            common = source.branch.common_lsn(source.flush_lsn, target.branch, target.flush_lsn)
            target.branch, target.flush_lsn = source.branch, max(common, 1)
            target.standby.replay_lsn = target.flush_lsn
            target.conf = dict(source.conf)
            target.standby_signal = "--write-recovery-conf" in self._argv
            target.clean = True
            self._done(0, "", "Done!")

    def _basebackup(self) -> None:
        self._world.audit.node_change(self._node, "pg_basebackup")
        source = self._world.server_at(_option(self._argv, "--dbname="))
        target = self._server(_option(self._argv, "--pgdata="))
        self._reach(source, _COPY_S, lambda: self._copied(target, source))

    def _copied(self, target: Postgres, source: Postgres | None) -> None:
        if source is None or source.process.value != "up":
            self._done(1, "", "could not connect to server")
            return
        standby = "--write-recovery-conf" in self._argv
        copy = (source.branch, source.flush_lsn, dict(source.conf), standby)
        self._world.copies[self._node, target.name] = copy
        self._done(0)

    def _reach(self, source: Postgres | None, takes_s: float, then: Callable[[], None]) -> None:
        """Over the network to the source, some time, and back; or until its connection is given up."""
        if source is None:
            then()
            return
        network, host = self._world.network, source.host
        fate, connected, ended = host.fate, False, False

        def there() -> None:
            nonlocal connected
            connected = True
            network.send(host.name, self._node, lambda: self._after(takes_s, end))

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                then()

        def keep_alive(missed: int) -> None:
            nonlocal ended
            if ended:
                return
            alive, missed = network.kept_alive(self._node, host.name, missed)
            if missed > (_MISSED if connected else 0) or (alive and host.fate != fate):
                ended = True
                self._done(1, "", "server closed the connection unexpectedly")
            else:
                self._after(KEEPALIVE_S, lambda: keep_alive(missed))

        network.send(self._node, host.name, there)
        if any("keepalives_idle=" in argument for argument in self._argv):
            self._after(KEEPALIVE_S, lambda: keep_alive(0))


_PROGRAMS: Final[dict[str, Callable[[Command], None]]] = {
    "pg_ctl": Command._pg_ctl,
    "pg_controldata": Command._controldata,
    "postgres": Command._single,
    "pg_rewind": Command._rewind,
    "pg_basebackup": Command._basebackup,
}


def _option(argv: Sequence[str], prefix: str) -> str:
    return next(a.removeprefix(prefix) for a in argv if a.startswith(prefix))


def _parsed_conf(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip().strip("'").replace("''", "'").replace("\\\\", "\\")
    return found
