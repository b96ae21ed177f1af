"""The estate as it is seen now, and the root of each outage: only what changes is judged again. Pure.

Signs come in one by one; counters of nodes and sites are moved by the difference, so that one observation
costs the same in an estate of ten services and of ten thousand. The same signs give the same roots, in
whatever order they came. Unknown is never down: one node of a site, or one thing on a node, that is not
settled keeps the whole from being called out. A root changes no decision of a service: it says where to look
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from controller.codes import CODES
from controller.roots.groups import Groups
from controller.roots.signs import Life, MemberSigns, ProbeSigns, ServiceSigns
from controller.roots.tally import NodeTally, Tally
from controller.roots.topology import DIRECT, ELSEWHERE, PATH, Topology
from model.diagnosis import Evidence, Root

# Machines that must be silent before a whole site is called out: of one it is the machine.
SITE_MACHINES: Final = 2
# Things on a node that must be silent before the node is: of one it is the thing.
NODE_THINGS: Final = 2
_NAMED: Final = 6  # in a sentence; more are counted
_GONE: Final = MemberSigns("", "", Life.UNKNOWN)


class Picture:
    """Mutable on purpose; touched from the loop only."""

    def __init__(self, topology: Topology) -> None:
        self._map = topology
        self.observer_sane: bool | None = None
        self._services: dict[str, ServiceSigns] = {}
        self._probes: dict[str, ProbeSigns] = {}
        self._nodes = {node: NodeTally(Tally(), Tally()) for node in topology.site_of}
        self._sites = {site: Tally() for site in topology.nodes_of}
        self._everything = Tally()
        # When the last node of a site fell silent; what answered before that says nothing against it.
        self._silent_s: dict[str, float] = {}
        # node → what says that it lives though it is silent from here, by who says it
        self._heard: dict[str, dict[str, str]] = {}
        self._roots: dict[str, Root | None] = {}
        self._groups = Groups()
        # What may have another root than its group's: sites and nodes to be judged again, and services.
        self._sites_again: dict[str, None] = {}
        self._nodes_again: dict[str, None] = {}
        self._services_again: dict[str, None] = {}
        self._key_at: dict[str, str | None] = {}  # `site/dc1`, `node/db1` → key of the root there, as grouped

    # --- seeing

    def note(self, signs: ServiceSigns, at_s: float) -> None:
        """One more judgement of one service; costs nothing where no sign has changed."""
        before = self._services.get(signs.service)
        if before is not signs and before != signs:
            self._services[signs.service] = signs
            old = {} if before is None else {m.member: m for m in before.members}
            for member in signs.members:
                known = old.get(member.member)
                if known != member:
                    self._move(signs.service, known, member, at_s)
            self._services_again[signs.service] = None
            self._groups.renew(f"service/{signs.service}")

    def note_probe(self, signs: ProbeSigns, at_s: float) -> None:
        """One more look of a declared probe; those that say nothing of a site or node are passed over."""
        about = self._map.about.get(signs.probe)
        before = self._probes.get(signs.probe)
        if about is None or before == signs:
            return
        self._probes[signs.probe] = signs
        kind, _, name = about.partition("/")
        was, now = (None if before is None else before.life), signs.life
        if self._map.kinds[signs.probe] in ELSEWHERE:
            text = f"{signs.probe} says that {name} lives" if now is Life.ALIVE else ""
            for node in self._map.nodes_of[name] if kind == "site" else (name,):
                self._hear(node, f"probe/{signs.probe}", text)
        elif kind == "node" and self._direct(signs.probe):
            self._nodes_host(name, was, now, at_s)
        if kind == "site":
            if self._direct(signs.probe):
                self._count(was, now)
            self._judge_site_again(name)

    def observer(self, sane: bool | None) -> None:
        """Whether this host's own network works (S6)."""
        if sane is not self.observer_sane:
            self.observer_sane = sane
            self._judge_all_again()

    def _count(self, was: Life | None, now: Life | None) -> None:
        """Of all that is seen. Whether anything lives at all weighs in every root."""
        lived = self._everything.alive > 0
        self._everything.move(was, now)
        if lived is not (self._everything.alive > 0):
            self._judge_all_again()

    # --- what it comes to

    def root_of(self, service: str) -> Root | None:
        """The deepest cause that is known of the service's trouble; None: it is its own, or there is none."""
        signs = self._services.get(service)
        if signs is None or signs.code in ("Healthy", "NotObservedYet"):
            return None
        deepest = self._deepest(signs) if signs.code == "DependencyDown" else signs
        place = self._place_of(deepest)
        if place is not None or deepest is signs:
            return place
        return Root(f"service/{deepest.service}", CODES[deepest.code], (_said(f"{deepest.service} is out"),))

    def consequences(self) -> Iterator[tuple[Root, tuple[str, ...]]]:
        """Each root with the services that suffer from it, by name; roots by their keys."""
        self._settle()
        return self._groups.listed(self.root_of)

    def out(self, service: str) -> bool:
        signs = self._services.get(service)
        return signs is not None and signs.out

    # --- folding

    def _move(self, service: str, before: MemberSigns | None, after: MemberSigns, at_s: float) -> None:
        node = self._nodes.get(after.node)
        if node is None:
            return
        known = before or _GONE
        was = None if before is None else before.life
        self._about_node(after.node, at_s, members=(was, after.life), hosts=(known.host, after.host))
        text = f"{service}/{after.member}: {after.heard}" if after.heard else ""
        self._hear(after.node, f"{service}/{after.member}", text)

    def _nodes_host(self, node: str, was: Life | None, now: Life, at_s: float) -> None:
        self._about_node(node, at_s, members=(None, None), hosts=(was, now))

    def _about_node(
        self,
        name: str,
        at_s: float,
        *,
        members: tuple[Life | None, Life | None],
        hosts: tuple[Life | None, Life | None],
    ) -> None:
        node, site = self._nodes[name], self._map.site_of[name]
        before, things = node.life, node.silent_things
        node.members.move(*members)
        node.hosts.move(*hosts)
        self._count(*members)
        self._count(*hosts)
        if node.life is before and node.silent_things == things:
            return
        self._sites[site].move(before, node.life)
        tally = self._sites[site]
        if tally.alive or tally.unknown or not tally.silent:
            self._silent_s.pop(site, None)
        else:
            self._silent_s.setdefault(site, at_s)
        self._judge_again(name)

    def _hear(self, node: str, who: str, text: str) -> None:
        heard = self._heard.get(node, {})
        if heard.get(who, "") == text:
            return
        if text:
            self._heard.setdefault(node, {})[who] = text
        else:
            heard.pop(who, None)
        self._judge_again(node)

    # --- only what changed

    def _judge_again(self, node: str) -> None:
        self._roots.pop(f"node/{node}", None)
        self._groups.renew(f"node/{node}")
        self._nodes_again[node] = None
        self._judge_site_again(self._map.site_of[node])

    def _judge_site_again(self, site: str) -> None:
        self._roots.pop(f"site/{site}", None)
        self._groups.renew(f"site/{site}")
        for device in self._map.devices[site]:
            self._groups.renew(f"probe/{device}")
        self._sites_again[site] = None

    def _judge_all_again(self) -> None:
        self._roots.clear()
        self._groups.renew_all()
        self._sites_again.update(dict.fromkeys(self._map.nodes_of))
        self._nodes_again.update(dict.fromkeys(self._map.site_of))

    def _settle(self) -> None:
        """Each service to the group of its root: those that changed, those at a place with another root than
        before, and all above them."""
        for site in self._sites_again:
            if self._is_another(f"site/{site}", self._site(site)):
                self._nodes_again.update(dict.fromkeys(self._map.nodes_of[site]))
        for node in self._nodes_again:
            if self._is_another(f"node/{node}", self._place(node)):
                self._services_again.update(dict.fromkeys(self._map.services_on.get(node, ())))
        waiting = list(self._services_again)
        for service in waiting:  # grows
            above = [s for s in self._map.above.get(service, ()) if s not in self._services_again]
            self._services_again.update(dict.fromkeys(above))
            waiting += above
        for service in waiting:
            root = self.root_of(service)
            self._groups.put(service, None if root is None else root.key)
        self._sites_again.clear()
        self._nodes_again.clear()
        self._services_again.clear()

    def _is_another(self, place: str, root: Root | None) -> bool:
        key = None if root is None else root.key
        if self._key_at.get(place) == key:
            return False
        self._key_at[place] = key
        return True

    # --- judging

    def _deepest(self, signs: ServiceSigns) -> ServiceSigns:
        """Down the first dependency that is out, and so on; a circle is an error of the estate."""
        seen = {signs.service}
        while True:
            below = next(
                (
                    known
                    for name in self._map.needs.get(signs.service, ())
                    if name not in seen and (known := self._services.get(name)) is not None and known.out
                ),
                None,
            )
            if below is None or signs.code != "DependencyDown":
                return signs
            seen.add(below.service)
            signs = below

    def _place_of(self, signs: ServiceSigns) -> Root | None:
        """Of its silent primary; while that answers, of a standby that is silent."""
        primary = signs.of(signs.primary)
        if primary is not None and primary.life is not Life.ALIVE:
            return self._place(primary.node) if primary.life is Life.SILENT else None
        for member in signs.members:
            if member.life is Life.SILENT and (found := self._place(member.node)) is not None:
                return found
        return None

    def _place(self, node: str) -> Root | None:
        site = self._map.site_of.get(node)
        return None if site is None else self._site(site) or self._node(node)

    def _trusted(self) -> bool:
        """When everything looks dead, suspect yourself (S6)."""
        return self.observer_sane is not False and self._everything.alive > 0

    def _node(self, name: str) -> Root | None:
        key = f"node/{name}"
        if key not in self._roots:
            self._roots[key] = self._judge_node(name)
        return self._roots[key]

    def _judge_node(self, name: str) -> Root | None:
        node = self._nodes[name]
        if node.life is not Life.SILENT or node.silent_things < NODE_THINGS or not self._trusted():
            return None
        if self._heard.get(name):
            return None
        servers = f"each of the {node.members.silent} servers" if node.members.silent > 1 else "the server"
        evidence = [_said(f"{servers} on {name} is silent")]
        if node.hosts.silent:
            evidence.append(_said(f"the host {name} does not answer itself"))
        return Root(f"node/{name}", CODES["NodeDown"], tuple(evidence))

    def _site(self, name: str) -> Root | None:
        key = f"site/{name}"
        if key not in self._roots:
            self._roots[key] = self._judge_site(name)
        return self._roots[key]

    def _judge_site(self, name: str) -> Root | None:
        """The site, or one device at it."""
        tally = self._sites[name]
        if not tally.silent or not self._trusted():
            return None
        devices = [self._probes[d] for d in self._map.devices[name] if d in self._probes]
        dead = [d for d in devices if d.life is Life.SILENT]
        if tally.alive and not dead:
            return None
        silent = [n for n in self._map.nodes_of[name] if self._nodes[n].life is Life.SILENT]
        nodes = _said(f"silent: {_listed(silent)}")
        if tally.alive:
            return self._device(dead, [nodes, *self._alive_at(name)])
        if tally.unknown:
            return None
        since_s = self._silent_s.get(name, 0.0)
        answers = [d for d in devices if d.life is Life.ALIVE and _answered_since(d, since_s)]
        machines = len(silent) + len(dead)
        if machines < SITE_MACHINES or any(_not_settled(d, since_s) for d in devices):
            return None
        shown = [_against(f"{d.probe} answers") for d in answers]
        lives = [_against(text) for text in self._signs_of_life(name)]
        if dead and (answers or lives):
            return self._device(dead, [nodes, *shown, *lives])
        if answers or lives:
            why = [_said(e.text) for e in (*lives, *shown)]
            return Root(f"site/{name}", CODES["SiteIsolated"], (nodes, *why))
        gone = [_said(f"{d.probe} is down too") for d in dead]
        return Root(f"site/{name}", CODES["SiteDown"], (nodes, *gone, _said("other places answer")))

    def _device(self, dead: list[ProbeSigns], evidence: list[Evidence]) -> Root | None:
        if not dead:
            return None
        device = dead[0]
        also = [_said(f"{device.probe} does not answer"), *evidence]
        return Root(f"probe/{device.probe}", CODES["NetworkDeviceDown"], tuple(also))

    def _alive_at(self, site: str) -> list[Evidence]:
        alive = [n for n in self._map.nodes_of[site] if self._nodes[n].life is Life.ALIVE]
        return [_against(f"others at {site} answer: {_listed(alive)}")] if alive else []

    def _signs_of_life(self, site: str) -> list[str]:
        """Of a site whose nodes are silent from here."""
        heard = [
            text
            for node in self._map.nodes_of[site]
            for _who, text in sorted(self._heard.get(node, {}).items())
        ]
        hosts = {host: probe for probe, host in self._map.hosts[site].items() if host}
        paths = [
            f"packets get as far as {signs.last_hop}, which is {hosts[signs.last_hop]} of the site"
            for probe, signs in sorted(self._probes.items())
            if self._map.kinds[probe] == PATH
            and self._map.about[probe] == f"site/{site}"
            and signs.last_hop in hosts
        ]
        return list(dict.fromkeys([*heard, *paths]))

    def _direct(self, probe: str) -> bool:
        return self._map.kinds[probe] in DIRECT


def _answered_since(signs: ProbeSigns, since_s: float) -> bool:
    return signs.answered_s is not None and signs.answered_s >= since_s


def _not_settled(signs: ProbeSigns, since_s: float) -> bool:
    """It answered before the nodes fell silent, and has not failed often enough since: wait for it. One that
    can't be judged at all is not waited for."""
    if signs.life is Life.ALIVE:
        return not _answered_since(signs, since_s)
    return signs.pending


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _said(text: str) -> Evidence:
    return Evidence(text, supports=True)


def _against(text: str) -> Evidence:
    return Evidence(text, supports=False)
