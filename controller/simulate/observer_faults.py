"""What can go wrong with observers. What one of them does not see, or can't tell, is a link that is cut."""

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


def observer_frozen(scene: Scene, target: str, _event: FaultEvent) -> Heal | None:
    observer = scene.observing(target)
    observer.freeze()
    return observer.thaw


def observer_killed(scene: Scene, target: str, event: FaultEvent) -> Heal | None:
    """kill -9; its service manager starts it again: its numbers begin anew."""
    scene.observing(target).kill()
    scene.world.timeline.after(max(event.value, 0.1), lambda: scene.start_observer(target))
    return None
