"""The simulated world: hosts, ways, servers, clients, and whoever controls them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from config.postgresql import PostgresqlService, of_postgresql
from config.schema import Estate
from controller.simulate.audit import Audit
from controller.simulate.audit_journal import JournalAudit
from controller.simulate.chance import Chance
from controller.simulate.journal import SimulatedStore
from controller.simulate.network import Delays, Host, Network
from controller.simulate.postgres import CONNINFO, DISK_BYTES, NAMES, Postgres
from controller.simulate.replication import Stream
from controller.simulate.timeline import Timeline
from controller.simulate.wal import SEGMENT, Branch
from controller.supervisor.ledger import HIGH_WATER_EVERY_S

_BEGINNING = 4 * SEGMENT + 4096


@dataclass(frozen=True, slots=True)
class Traits:
    """Of a world, what differs between scenarios. access: node access to the members' hosts. pause_s: between
    two writes of a client. marks_every_s: between two notes of the high water (P3)."""

    delays: Delays = field(default_factory=Delays)
    access: bool = True
    in_place: bool = False
    sealed: bool = True
    pause_s: float = 0.1
    marks_every_s: float = HIGH_WATER_EVERY_S


class World:
    """One estate, running well: every server is up, every standby streams from its service's home primary."""

    def __init__(self, estate: Estate, seed: str, traits: Traits | None = None) -> None:
        self.estate = estate
        self.traits = traits or Traits()
        self.timeline = Timeline()
        self.chance = Chance(seed)
        self.network = Network(self.timeline, self.chance, self.traits.delays)
        self.store = SimulatedStore(self.timeline, sealed=self.traits.sealed)
        self.audit = Audit(self)
        self.store.listeners.append(JournalAudit(self).written)
        self.copies: dict[tuple[str, str], tuple[Branch, int, dict[str, str], bool]] = {}
        self.observers: set[str] = set()  # hosts that somebody looks from
        self.rewind_fails = False
        self.promote_late_s = 0.0
        self.disk_bytes = DISK_BYTES
        self.node_access = self.traits.access
        self._pid = 1000
        self._systems: dict[str, str] = {}
        self._servers: dict[tuple[str, str], Postgres] = {}
        self._at: dict[tuple[str, str], Postgres] = {}
        self._on: dict[str, list[Postgres]] = {}
        self._dirs: dict[str, list[tuple[str, Postgres]]] = {}
        for node in estate.nodes.values():
            self.network.add(Host(node.name, node.site))
        for site in estate.sites:
            self.network.add(Host(f"gateway-{site}", site))
            self.network.add(Host(f"app-{site}", site))
            self.network.add(Host(f"ops-{site}", site))
        for service in estate.services.values():
            self._build(of_postgresql(service))

    def next_pid(self) -> int:
        self._pid += 1
        return self._pid

    # --- finding servers

    def system_of(self, service: str) -> str:
        """The system identifier of its data."""
        return self._systems[service]

    def server(self, service: str, member: str) -> Postgres:
        return self._servers[service, member]

    def servers(self, service: str) -> list[Postgres]:
        return [s for (name, _), s in self._servers.items() if name == service]

    def servers_on(self, node: str) -> list[Postgres]:
        return self._on.get(node, [])

    def server_at(self, conninfo: str) -> Postgres | None:
        place = _place(conninfo)
        return None if place is None else self._at.get(place)

    def server_of_dir(self, node: str, path: str) -> Postgres:
        """Whose data directory, or a file in or beside it, it is."""
        found = [(len(d), s) for d, s in self._dirs[node] if path.startswith((f"{d}/", f"{d}.")) or path == d]
        return max(found, key=lambda pair: pair[0])[1]

    def service_of(self, server: Postgres) -> PostgresqlService:
        return of_postgresql(self.estate.services[server.service])

    # --- building

    def _build(self, service: PostgresqlService) -> None:
        number = 7_000_000_000_000_000_000 + len(self._servers)
        branch = Branch(str(number), 1)
        self._systems[service.name] = branch.system
        home = next(m for m in service.members.values() if m.role == "primary")
        for member in service.members.values():
            host = self.network.hosts[member.node]
            server = Postgres(self, member.name, member.application_name, host, branch)
            server.service = service.name
            server.flush_lsn = _BEGINNING
            server.restarts_in_place = self.traits.in_place
            self._servers[service.name, member.name] = server
            self._at[member.host, str(member.port)] = server
            self._on.setdefault(member.node, []).append(server)
            self._dirs.setdefault(member.node, []).append((str(member.data_dir), server))
            if member is home:
                server.conf[NAMES] = service.postgresql.synchronous_standby_names
            else:
                server.standby_signal = True
                server.conf[CONNINFO] = (
                    f"host={home.host} port={home.port} user=bcm_replication "
                    f"application_name={member.application_name}"
                )
        self._up(service, home.name)

    def _up(self, service: PostgresqlService, home: str) -> None:
        """As if it had run for long."""
        primary = self._servers[service.name, home]
        for server in self.servers(service.name):
            server.start()
            server.life += 1  # what its start had planned is void
            server.clean = False
            server.process = type(server.process).UP
            server.started_s = -86_400.0
            if server is not primary:
                stream = Stream(primary, server)
                stream.acked_lsn = stream.shipped_lsn = primary.flush_lsn
                primary.senders.append(stream)
                standby = server.standby
                standby.stream = stream
                standby.followed = server.live[CONNINFO]
                standby.reported_lsn = standby.replay_lsn = server.flush_lsn


@lru_cache(maxsize=1024)
def _place(conninfo: str) -> tuple[str, str] | None:
    host = re.search(r"\bhost=(\S+)", conninfo)
    port = re.search(r"\bport=(\d+)", conninfo)
    return (host.group(1), port.group(1)) if host and port else None
