"""Roots of outages, for whatever is seen: the same in every order, and never out of the unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.roots.picture import Picture
from controller.roots.signs import Life, MemberSigns, ProbeSigns, ServiceSigns
from controller.roots.topology import Topology, turned
from model.diagnosis import Root

SITES = ("a", "b")
NODES = {f"{site}{n}": site for site in SITES for n in (1, 2)}
SERVICES = ("s1", "s2", "s3", "s4")
_NEEDS = {"s1": ("s2",), "s2": ("s3",), "s3": (), "s4": ("s2",)}
CODES = ("Healthy", "PrimaryNodeDown", "PrimaryHung", "DependencyDown", "StandbyDown")
AT_S = 100.0

lives = st.sampled_from(Life)
Signs = dict[str, Any]


def topology(places: dict[str, tuple[str, str]]) -> Topology:
    return Topology(
        site_of=NODES,
        nodes_of={site: tuple(n for n, s in NODES.items() if s == site) for site in SITES},
        services_on=turned(places),
        needs=_NEEDS,
        above=turned(_NEEDS),
        devices={"a": ("switch",), "b": ()},
        about={"switch": "site/a", "beats": "node/a1"},
        kinds={"switch": "icmp", "beats": "heartbeat"},
        hosts={"a": {"switch": "10.0.0.1"}, "b": {}},
    )


placements = st.fixed_dictionaries(
    {s: st.tuples(st.sampled_from(sorted(NODES)), st.sampled_from(sorted(NODES))) for s in SERVICES}
)


@st.composite
def services(draw: st.DrawFn, places: dict[str, tuple[str, str]]) -> dict[str, ServiceSigns]:
    return {name: draw(service(name, places[name])) for name in SERVICES}


@st.composite
def service(draw: st.DrawFn, name: str, nodes: tuple[str, str]) -> ServiceSigns:
    members = tuple(
        MemberSigns(member, node, draw(lives), draw(st.one_of(st.none(), lives)))
        for member, node in zip(("m1", "m2"), nodes, strict=True)
    )
    return ServiceSigns(name, "m1", draw(st.sampled_from(CODES)), "m1", draw(st.booleans()), members)


probes = st.fixed_dictionaries(
    {
        # Answered long after anything fell silent, or never: when exactly is no matter of order.
        name: st.builds(ProbeSigns, st.just(name), lives, st.booleans(), st.sampled_from([None, 1e9]))
        for name in ("switch", "beats")
    }
)


def seen(known: Topology, found: dict[str, ServiceSigns], declared: dict[str, ProbeSigns]) -> Picture:
    picture = Picture(known)
    for probe in declared.values():
        picture.note_probe(probe, AT_S)
    for signs in found.values():
        picture.note(signs, AT_S)
    return picture


def said(picture: Picture) -> dict[str, Any]:
    by_service = {s: picture.root_of(s) for s in SERVICES}
    roots = {root.key: (root, services) for root, services in picture.consequences()}
    assert roots == grouped(by_service)
    return {"roots": roots, **by_service}


def grouped(by_service: dict[str, Root | None]) -> dict[str, tuple[Root, tuple[str, ...]]]:
    """Made anew from what each service suffers from."""
    found: dict[str, tuple[Root, tuple[str, ...]]] = {}
    for name, root in sorted(by_service.items()):
        if root is not None:
            found[root.key] = (root, (*found.get(root.key, (root, ()))[1], name))
    return found


@given(st.data())
def test_the_order_in_which_it_is_seen_does_not_matter(data: st.DataObject) -> None:
    places = data.draw(placements)
    found, declared = data.draw(services(places)), data.draw(probes)
    known = topology(places)
    shuffled = {name: found[name] for name in data.draw(st.permutations(SERVICES))}
    other = {name: declared[name] for name in data.draw(st.permutations(sorted(declared)))}
    assert said(seen(known, found, declared)) == said(seen(known, shuffled, other))


@given(st.data())
def test_what_changes_one_by_one_comes_to_the_same_as_what_is_seen_at_once(data: st.DataObject) -> None:
    places = data.draw(placements)
    known = topology(places)
    picture = seen(known, data.draw(services(places)), data.draw(probes))
    for _ in range(data.draw(st.integers(0, 4))):
        name = data.draw(st.sampled_from(SERVICES))
        picture.note(data.draw(service(name, places[name])), AT_S)
        said(picture)
    found, declared = data.draw(services(places)), data.draw(probes)
    for probe in declared.values():
        picture.note_probe(probe, AT_S)
    for signs in found.values():
        picture.note(signs, AT_S)
    assert said(picture) == said(seen(known, found, declared))


@given(st.data())
def test_what_is_not_known_makes_no_root_of_its_node_or_site(data: st.DataObject) -> None:
    places = data.draw(placements)
    found, declared = data.draw(services(places)), data.draw(probes)
    name = data.draw(st.sampled_from(SERVICES))
    first, second = found[name].members
    found[name] = replace(found[name], members=(replace(first, life=Life.UNKNOWN), second))
    roots = said(seen(topology(places), found, declared))["roots"]
    assert f"node/{first.node}" not in roots
    assert f"site/{NODES[first.node]}" not in roots or any(
        m.life is Life.ALIVE or m.host is Life.ALIVE
        for signs in found.values()
        for m in signs.members
        if m.node == first.node
    )


@given(st.data())
def test_where_nothing_lives_nobody_but_oneself_is_suspected(data: st.DataObject) -> None:
    places = data.draw(placements)
    found, declared = data.draw(services(places)), data.draw(probes)
    dead = {
        name: replace(
            signs,
            members=tuple(
                replace(m, life=Life.SILENT, host=None if m.host is None else Life.SILENT)
                for m in signs.members
            ),
        )
        for name, signs in found.items()
    }
    declared["switch"] = ProbeSigns("switch", Life.SILENT)
    roots = said(seen(topology(places), dead, declared))["roots"]
    assert all(key.startswith("service/") for key in roots)


@given(st.data())
def test_an_observer_that_is_cut_off_names_no_place(data: st.DataObject) -> None:
    places = data.draw(placements)
    picture = seen(topology(places), data.draw(services(places)), data.draw(probes))
    picture.observer(False)
    assert all(key.startswith("service/") for key in said(picture)["roots"])
