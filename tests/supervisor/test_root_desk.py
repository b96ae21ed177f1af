"""What an estate suffers from: told once, and the incidents of those that suffer from the same become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memory_journal import MemoryStore
from virtual_clock import VirtualClock

from controller.root_desk import OVER_S, SETTLE_S, RootDesk, RootPorts
from controller.roots.picture import Picture
from controller.roots.signs import Life, MemberSigns, ServiceSigns
from controller.roots.topology import Topology, turned
from controller.supervisor.open_incident import OpenIncident
from model import events as ev

NODES = {"db1": "dc1", "db2": "dc1", "std": "dc2"}
PLACES = {"orders": "db1", "billing": "db1", "stock": "db2", "web": "std"}


def topology() -> Topology:
    return Topology(
        site_of=NODES,
        nodes_of={"dc1": ("db1", "db2"), "dc2": ("std",)},
        services_on=turned({s: (node, "std") for s, node in PLACES.items()}),
        needs={"web": ("orders",)},
        above={"orders": ("web",)},
        devices={"dc1": (), "dc2": ()},
        about={},
        kinds={},
        hosts={"dc1": {}, "dc2": {}},
    )


@dataclass
class Desk:
    store: MemoryStore = field(default_factory=MemoryStore)
    clock: VirtualClock = field(default_factory=VirtualClock)
    incidents: dict[str, OpenIncident] = field(default_factory=dict)
    pages: list[tuple[str, str]] = field(default_factory=list)
    signs: dict[str, ServiceSigns] = field(default_factory=dict)
    leads: bool = True

    def __post_init__(self) -> None:
        self.picture = Picture(topology())
        self.open()

    def open(self) -> None:
        """As after a start of the controller."""
        self.journal = self.store.open()
        self.desk = RootDesk(
            RootPorts(
                clock=self.clock,
                journal=self.journal,
                page=lambda severity, summary, **_more: self.pages.append((severity, summary)),
                leads=lambda: self.leads,
                picture=lambda: self.picture,
                declared=tuple,
                incident=self.incidents.get,
                boot_id="boot-1",
            )
        )

    def see(self, service: str, code: str = "Healthy", life: Life = Life.ALIVE) -> None:
        members = (
            MemberSigns("pg1", PLACES[service], life, life if service != "web" else None),
            MemberSigns("pg2", "std", Life.ALIVE),
        )
        signs = ServiceSigns(service, "pg1", code, "pg1", code != "Healthy", members)
        self.signs[service] = signs
        self.picture.note(signs, self.clock.monotonic_s())

    def out(self, *services: str, code: str = "PrimaryNodeDown") -> None:
        """They are silent, and each has opened its incident."""
        for service in services:
            self.see(service, code, Life.SILENT)
            opened_ns = int(self.clock.monotonic_s() * 1e9)
            number = len(self.incidents) + 1
            opened = OpenIncident(f"inc-{number}", number, "II", code, boot_id="boot-1", opened_ns=opened_ns)
            self.incidents.setdefault(service, opened)

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            await self.clock.advance(1.0)
            for signs in self.signs.values():  # each service takes its turns
                self.picture.note(signs, self.clock.monotonic_s())
            await self.desk.turn()

    def links(self) -> list[tuple[Any, ...]]:
        return [
            (e.incident, e.data["service"], e.data["part"], e.data["root"])
            for e in self.store.of(ev.INCIDENT_CONSEQUENCE)
        ]


def desk() -> Desk:
    made = Desk()
    for service in PLACES:
        made.see(service)
    return made


async def test_a_root_is_told_once_when_it_has_settled_and_again_when_it_is_over() -> None:
    d = desk()
    d.out("orders", "billing")
    await d.live(SETTLE_S)
    assert d.pages == []
    await d.live(20)
    assert [e.data["root"]["key"] for e in d.store.of(ev.ROOT_FOUND)] == ["node/db1"]
    assert [severity for severity, _text in d.pages] == ["page"]
    assert "billing, orders" in d.pages[0][1]
    for service in PLACES:
        d.see(service)
    await d.live(OVER_S - 1)
    assert d.store.of(ev.ROOT_OVER) == []
    await d.live(2)
    assert [e.data["key"] for e in d.store.of(ev.ROOT_OVER)] == ["node/db1"]
    assert d.pages[1:] == [("info", "node/db1 is over")]
    assert list(d.desk.lasting()) == []


async def test_a_controller_that_comes_after_tells_nothing_twice_and_ends_what_is_over() -> None:
    d = desk()
    d.out("orders", "billing")
    await d.live(5)
    d.open()
    await d.live(20)
    assert (len(d.store.of(ev.ROOT_FOUND)), len(d.pages), len(d.links())) == (1, 1, 1)
    for service in PLACES:
        d.see(service)
    d.open()
    await d.live(OVER_S + 2)
    assert len(d.store.of(ev.ROOT_OVER)) == 1


async def test_who_does_not_lead_writes_and_tells_nothing() -> None:
    d = desk()
    d.leads = False
    d.out("orders", "billing")
    await d.live(10)
    assert (d.store.events, d.pages) == ([], [])
    assert [root.key for root, _services in d.desk.lasting()] == ["node/db1"]


async def test_the_incidents_of_one_root_become_one_led_by_the_first() -> None:
    d = desk()
    d.out("billing", "orders")
    await d.live(5)
    assert d.links() == [("inc-1", "orders", "inc-2", "node/db1")]
    d.out("stock")
    await d.live(5)
    # The other node too: it is the site, and it is still one incident.
    assert d.links() == [
        ("inc-1", "orders", "inc-2", "node/db1"),
        ("inc-1", "stock", "inc-3", "site/dc1"),
    ]
    assert [e.data["root"]["code"] for e in d.store.of(ev.ROOT_FOUND)] == ["NodeDown", "SiteDown"]


async def test_an_incident_of_before_has_another_root() -> None:
    d = desk()
    d.out("orders")
    d.see("orders")
    await d.live(120)
    d.out("orders", "billing")
    await d.live(5)
    assert d.links() == [("inc-2", "orders", None, "node/db1")]


async def test_a_service_that_waits_for_another_is_its_consequence_without_an_incident_of_its_own() -> None:
    d = desk()
    d.out("orders", code="PrimaryProcessDown")
    d.see("orders", "PrimaryProcessDown", Life.ALIVE)
    d.see("web", "DependencyDown", Life.UNKNOWN)
    await d.live(5)
    assert d.links() == [("inc-1", "web", None, "service/orders")]
    assert d.pages == []  # the incident of orders tells of it


async def test_what_was_taken_apart_is_not_put_together_again() -> None:
    d = desk()
    d.out("orders", "billing")
    await d.live(5)
    links = d.links()
    d.open()  # whatever it remembers is in the journal
    await d.live(30)
    assert d.links() == links
