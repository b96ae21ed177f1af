"""Who suffers from which root follows what is seen, though only what changed is judged again."""

from __future__ import annotations

import pytest

from controller.roots.picture import Picture
from controller.roots.signs import Life, MemberSigns, ServiceSigns
from controller.roots.topology import Topology, turned

AT_S = 100.0
SITE_OF = {"a1": "a", "a2": "a", "a3": "a", "b1": "b"}
PLACES = {"orders": ("a1", "b1"), "stock": ("a2", "b1"), "logs": ("b1", "a3"), "web": ("b1", "b1")}
NEEDS: dict[str, tuple[str, ...]] = {"orders": (), "stock": (), "logs": (), "web": ("orders",)}


def service(
    name: str, code: str = "Healthy", first: Life = Life.ALIVE, second: Life = Life.ALIVE
) -> ServiceSigns:
    members = tuple(
        MemberSigns(member, node, life, life)
        for member, node, life in zip(("m1", "m2"), PLACES[name], (first, second), strict=True)
    )
    return ServiceSigns(name, "m1", code, "m1", code != "Healthy", members)


@pytest.fixture
def picture() -> Picture:
    """orders is out, and web, which needs it; stock is well."""
    topology = Topology(
        site_of=SITE_OF,
        nodes_of={"a": ("a1", "a2", "a3"), "b": ("b1",)},
        services_on=turned(PLACES),
        needs=NEEDS,
        above=turned(NEEDS),
        devices={"a": (), "b": ()},
        about={},
        kinds={},
        hosts={"a": {}, "b": {}},
    )
    found = Picture(topology)
    found.note(service("orders", "PrimaryNodeDown", Life.SILENT), AT_S)
    found.note(service("stock"), AT_S)
    found.note(service("web", "DependencyDown"), AT_S)
    return found


def listed(picture: Picture) -> dict[str, tuple[str, ...]]:
    return {root.key: services for root, services in picture.consequences()}


def test_a_service_above_belongs_to_the_root_of_what_it_needs(picture: Picture) -> None:
    assert listed(picture) == {"node/a1": ("orders", "web")}


def test_when_the_last_node_falls_silent_all_there_belong_to_the_site_without_a_turn_of_theirs(
    picture: Picture,
) -> None:
    assert listed(picture) == {"node/a1": ("orders", "web")}
    picture.note(service("stock", "PrimaryNodeDown", Life.SILENT), AT_S + 1)
    assert listed(picture) == {"site/a": ("orders", "stock", "web")}
    picture.note(service("stock"), AT_S + 2)
    assert listed(picture) == {"node/a1": ("orders", "web")}


def test_a_service_whose_server_answers_again_leaves_and_so_does_who_is_above(picture: Picture) -> None:
    assert listed(picture) == {"node/a1": ("orders", "web")}
    picture.note(service("orders", "PrimaryReadOnly"), AT_S + 1)
    assert listed(picture) == {"service/orders": ("web",)}
    picture.note(service("orders"), AT_S + 2)
    picture.note(service("web"), AT_S + 2)
    assert listed(picture) == {}


def test_what_a_root_tells_is_of_now_though_the_same_suffer_from_it(picture: Picture) -> None:
    picture.note(service("stock", "PrimaryNodeDown", Life.SILENT), AT_S + 1)
    ((before, _),) = picture.consequences()
    picture.note(service("logs", second=Life.SILENT), AT_S + 2)
    ((after, services),) = picture.consequences()
    assert services == ("orders", "stock", "web")
    assert "a3" not in str(before.evidence)
    assert "a3" in str(after.evidence)
    picture.note(service("orders", "PrimaryReadOnly"), AT_S + 3)
    ((root, _),) = [each for each in picture.consequences() if each[0].key == "service/orders"]
    picture.note(service("orders", "PrimaryDiskFull"), AT_S + 4)
    ((again, _),) = [each for each in picture.consequences() if each[0].key == "service/orders"]
    assert (root.code, again.code) == ("PrimaryReadOnly", "PrimaryDiskFull")


def test_an_observer_that_is_cut_off_empties_the_groups_of_places(picture: Picture) -> None:
    assert listed(picture) == {"node/a1": ("orders", "web")}
    picture.observer(False)
    assert listed(picture) == {"service/orders": ("web",)}
