"""What can go wrong with observers, and between what one of them sees and what the others see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.simulate.network import Heal

if TYPE_CHECKING:
    from controller.simulate.faults import FaultEvent
    from controller.simulate.scene import Scene


def observer_blind(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Its own network is out: it reaches nothing, and nobody hears it."""
    own = scene.observing(target).host.name
    network = scene.world.network
    return network.cut_off([own], [h for h in network.hosts if h != own])


def observer_mute(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """It sees everything, and what it sees does not get to the controller that acts."""
    own, acting = scene.observing(target).host.name, scene.controller.host.name
    return scene.world.network.cut_off([own], [acting])


def observer_frozen(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    observer = scene.observing(target)
    observer.freeze()
    return observer.thaw


def observer_killed(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    """kill -9; its service manager starts it again: its numbers begin anew."""
    scene.observing(target).kill()
    scene.world.timeline.after(max(event.value, 0.1), lambda: scene.start_observer(target))
    return None


def observer_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """It alone is cut off from the first member's host: it sees that one lost."""
    node = next(iter(scene.world.estate.nodes))
    return scene.world.network.cut_off([scene.observing(target).host.name], [node])


def acting_cut(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    """Only the controller that acts can't reach the host: others do."""
    return scene.world.network.cut_off([scene.controller.host.name], [target])
