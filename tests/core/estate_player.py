"""Plays a situation of a whole estate (tests/situations/estates/*.yaml): observations in, roots out.

    what: one sentence
    services:                                 # member: site/node; the first member is the primary
      orders: {pg1: dc1/db1, pg2: dc2/db2}
      shop-{01..40}: {pg1: dc1/db{01..40}, pg2: dc2/std}     # forty of them
    needs: {web: [orders]}                    # dependencies
    ping: false                               # no pings of the nodes; they are pinged by default
    probes:                                   # declared ones
      switch-1: {type: icmp, site: dc1, options: {host: 10.0.0.1}}
    observers: {ops2: dc2}                    # other controllers that look too
    observer: true                            # this host's own network: true, false, or null for not known
    seen:                                     # from this second on; before it all answer for 3 s
      - 0.0 site dc1 silent                   # every member and ping there
      - 0.0 node db1 silent
      - 0.0 member orders/pg1 refused         # any failure, or `ok`; `receives`: its position goes on
      - 0.0 probe switch-1 silent
      - 0.0 everything silent
      - 0.0 ops2 sees dc1
    expect:
      - at: 4.0
        roots: {site/dc1: {code: SiteDown, services: [orders], evidence: "…", against: "…"}}   # all there are
        services: {orders: {code: PrimaryNodeDown, root: site/dc1, verb: act, scope: site}}

Every service is folded, judged and decided by the real core; each probe looks four times a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.schema import Estate, Service
from controller.detect import age
from controller.detect_count import fold_count
from controller.levels import scope_of
from controller.roots.picture import Picture
from controller.roots.signs import signs_of, signs_of_probe
from controller.roots.topology import CLIENT_SIDE, Topology
from controller.status import service_health
from controller.supervisor.judgement import Case, Judged, Surroundings, judge
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.views import CANARY, PG
from model.health import Health, ProbeState
from model.observation import Failure, Observation, Outcome

ORIGIN_S = 1000.0
CALM_S = 3.0
STEP_S = 0.25
SYSTEM = "7000000000000000001"
AT = 16 << 20
OWN = "ops1"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LINE = re.compile(r"(?P<at>[\d.]+) (?P<what>.+?) (?P<result>\w+)")
_UNKNOWN = {"local", "credentials"}


def expanded(services: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """`shop-{01..40}` is forty services; the same range in a member's place counts along."""
    for name, members in services.items():
        found = _RANGE.search(name)
        if found is None:
            yield name, dict(members)
            continue
        for number in range(int(found[1]), int(found[2]) + 1):
            text = str(number).zfill(len(found[1]))
            yield _RANGE.sub(text, name), {m: _RANGE.sub(text, place) for m, place in members.items()}


def estate_of(described: Mapping[str, Any]) -> Estate:
    services = dict(expanded(described["services"]))
    places = [place.split("/") for members in services.values() for place in members.values()]
    roles = {role: {"user": role} for role in ("monitor", "control", "replication")}
    sites = list(dict.fromkeys(site for site, _node in places))
    observers = described.get("observers", {})
    for site in observers.values():
        sites += [site] if site not in sites else []
    declared: dict[str, Any] = {
        "configVersion": 1,
        "daemon": {"name": OWN},
        "sites": {site: {"role": "primary" if n == 0 else "standby"} for n, site in enumerate(sites)},
        "nodes": {
            node: {"site": site, "address": "127.0.0.1", "access": "local", "ping": True}
            for site, node in places
        },
        "probes": described.get("probes", {}),
        "services": {},
    }
    if observers:
        declared["observers"] = {OWN: {"site": sites[-1]}, **{n: {"site": s} for n, s in observers.items()}}
    for name, members in services.items():
        names = ", ".join(members)
        declared["services"][name] = {
            "engine": "postgresql",
            "mode": "act",
            "depends_on": described.get("needs", {}).get(name, []),
            "postgresql": {"roles": roles, "synchronous_standby_names": f"ANY 1 ({names})"},
            "members": {
                member: {
                    "node": place.split("/")[1],
                    "role": "primary" if n == 0 else "standby",
                    "data_dir": "/d",
                    "bin_dir": "/b",
                    "control": "pg_ctl",
                }
                for n, (member, place) in enumerate(members.items())
            },
        }
    return Estate.model_validate(declared)


@dataclass
class Served:
    """One service as the core has it."""

    case: Case
    judged: Judged | None = None
    position: dict[str, int] = field(default_factory=dict)


class EstatePlayer:
    def __init__(self, described: Mapping[str, Any]) -> None:
        self.described = described
        self.estate = estate_of(described)
        self.picture = Picture(Topology.of(self.estate))
        self.sane: bool | None = described.get("observer", True)
        self.picture.observer(self.sane)
        self.served = {name: self._served(service) for name, service in self.estate.services.items()}
        self.probes: dict[str, ProbeState] = {}
        self.results: dict[str, str] = {}
        self.others: dict[str, str] = {}
        self.now_s = ORIGIN_S - CALM_S
        self._lines = [self._line(text) for text in described.get("seen", [])]

    def _served(self, service: Service) -> Served:
        knowledge = Knowledge(self.estate, service)
        knowledge.observer_sane = self.sane
        primary = next(iter(service.members))
        ledger = Ledger(service.name, primary=primary, timeline=1, system_identifier=SYSTEM)
        return Served(Case(self.estate, service, knowledge, ledger))

    @staticmethod
    def _line(text: str) -> tuple[float, str, str]:
        found = _LINE.fullmatch(text)
        if found is None:
            raise ValueError(f"can't be read: {text!r}")
        return ORIGIN_S + float(found["at"]), found["what"], found["result"]

    def play(self, until_s: float) -> None:
        """To `until_s` seconds after the trouble begins."""
        while self.now_s < ORIGIN_S + until_s - 1e-9:
            for at_s, what, result in self._lines:
                if at_s <= self.now_s + 1e-9:
                    self._happens(what, result)
            self._look()
            self.now_s += STEP_S
            self._judge()

    # --- what happens

    def _happens(self, what: str, result: str) -> None:
        kind, _, name = what.partition(" ")
        if kind == "everything":
            for site in self.estate.sites:
                self._place("site", site, result)
            self.results.update({f"probe {probe}": result for probe in self.estate.probes})
        elif kind in ("site", "node"):
            self._place(kind, name, result)
        elif kind in ("member", "probe", "ping"):
            self.results[what] = result
        else:
            self.others[kind] = result  # `ops2 sees dc1`

    def _place(self, kind: str, name: str, result: str) -> None:
        nodes = [n for n, node in self.estate.nodes.items() if name == (n if kind == "node" else node.site)]
        for node in nodes:
            self.results[f"ping {node}"] = result
        for service, member in self.estate.all_members():
            if member.node in nodes:
                self.results[f"member {service.name}/{member.name}"] = result

    # --- looking

    def _look(self) -> None:
        for name, served in self.served.items():
            for member in served.case.service.members.values():
                self._look_at(name, served, member.name)
                node = f"node/{member.node}"
                if self.described.get("ping", True):
                    result = self.results.get(f"ping {member.node}", "ok")
                    served.case.knowledge.observe(
                        self._seen(node, "icmp", result, {}), served.case.ledger.primary
                    )
        for name, entry in self.estate.probes.items():
            result = self.results.get(f"probe {name}", "ok")
            facts = {"reached": True}
            if result.startswith("ends_at_"):
                facts = {"reached": False, "last_hop": result.removeprefix("ends_at_").replace("_", ".")}
                result = "unreachable"
            state = self.probes.get(name, ProbeState(entry.target, entry.type))
            seen = self._seen(entry.target, entry.type, result, facts)
            self.probes[name] = fold_count(state, seen, entry.fall, entry.rise)
            aged = age(self.probes[name], self.now_s, entry.profile)
            self.picture.note_probe(signs_of_probe(name, aged), self.now_s)
        for observer, site in self.others.items():
            for name, served in self.served.items():
                knowledge = served.case.knowledge
                knowledge.elsewhere.health(observer, True, "own network works", self.now_s)
                for member in served.case.service.members.values():
                    if self.estate.nodes[member.node].site == site:
                        seen = self._seen(f"{name}/{member.name}", PG, "ok", {}, observer)
                        knowledge.observe(seen, served.case.ledger.primary)

    def _look_at(self, name: str, served: Served, member: str) -> None:
        primary = served.case.ledger.primary
        result = self.results.get(f"member {name}/{member}", "ok")
        if result == "receives":
            served.position[member] = served.position.get(member, AT) + 1000
            result = "ok"
        is_primary = member == primary
        facts = {
            "in_recovery": not is_primary,
            "system_identifier": SYSTEM,
            "timeline": 1,
            "position": served.position.get(member, AT),
            "walreceiver": not is_primary,
        }
        target = f"{name}/{member}"
        served.case.knowledge.observe(self._seen(target, PG, result, facts), primary)
        if is_primary:
            told = {
                "canary_n": int(self.now_s * 4),
                "sync_names": served.case.service.postgresql.synchronous_standby_names,
            }
            served.case.knowledge.observe(self._seen(target, CANARY, result, told), primary)

    def _seen(
        self, target: str, probe: str, result: str, facts: dict[str, Any], observer: str = OWN
    ) -> Observation:
        took_s = 0.2 if result == "silent" else 0.002
        at_s = self.now_s
        if result == "ok":
            return Observation(
                target, probe, observer, Outcome.SUCCEEDED, at_s, at_s + took_s, at_s, facts=facts
            )
        outcome = Outcome.UNKNOWN if result in _UNKNOWN else Outcome.FAILED
        failure = Failure(result)
        return Observation(
            target, probe, observer, outcome, at_s, at_s + took_s, at_s, failure, result, facts
        )

    # --- judging, as a supervisor's turn does

    def _judge(self) -> None:
        for name, served in self.served.items():
            endpoint = {
                probe: self.probes[probe]
                for probe, entry in self.estate.probes.items()
                if entry.service == name and entry.type in CLIENT_SIDE and probe in self.probes
            }
            below = tuple(n for n in served.case.service.depends_on if self.picture.out(n))
            around = Surroundings(
                leader=True,
                epoch=1,
                budget_left=3,
                wall_ns=0,
                broken_dependencies=below,
                endpoint=endpoint,
                root=self.picture.root_of(name),
            )
            judged = served.judged = judge(served.case, around, self.now_s)
            out = service_health(judged) == Health.DOWN.value
            self.picture.note(signs_of(judged.view, judged.diagnosis, out=out), self.now_s)

    # --- what came of it

    def roots(self) -> dict[str, dict[str, Any]]:
        return {
            root.key: {
                "code": root.code,
                "services": list(services),
                "cause": root.info.cause.value,
                "evidence": "; ".join(e.text for e in root.evidence if e.supports),
                "against": "; ".join(e.text for e in root.evidence if not e.supports),
            }
            for root, services in self.picture.consequences()
        }

    def service(self, name: str) -> dict[str, Any]:
        judged = self.served[name].judged
        assert judged is not None
        diagnosis = judged.diagnosis
        return {
            "code": diagnosis.code,
            "root": None if diagnosis.root is None else diagnosis.root.key,
            "verb": judged.decision.verb.value,
            "scope": scope_of(diagnosis.code, diagnosis.root),
            "cause": diagnosis.info.cause.value,
            "level": diagnosis.info.level,
            "evidence": "; ".join(e.text for e in diagnosis.evidence if e.supports),
            "against": "; ".join(e.text for e in diagnosis.evidence if not e.supports),
        }
