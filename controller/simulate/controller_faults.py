"""What can go wrong with the controller that leads, and with its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.simulate.network import Heal

if TYPE_CHECKING:
    from controller.simulate.faults import FaultEvent
    from controller.simulate.scene import Scene


def blind(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    """The ops host's own network is out."""
    name = scene.controller.host.name
    return scene.world.network.cut_off([name], [h for h in scene.world.network.hosts if h != name])


def killed(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    """kill -9; its service manager starts it again."""
    scene.kill_controller()
    scene.world.timeline.after(max(event.value, 0.1), scene.start_controller)
    return None


def frozen(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    controller = scene.controller
    controller.freeze()
    return controller.thaw


def taken_over(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    """The controller freezes, another one takes the leadership, and then the first one wakes."""
    controller = scene.controller
    controller.freeze()
    scene.start_controller()

    def heal() -> None:
        controller.thaw()
        scene.stale.append(controller)

    return heal


def wall_jump(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    controller = scene.controller
    controller.clock.wall_offset_s += event.value

    def heal() -> None:
        controller.clock.wall_offset_s -= event.value

    return heal


def journal_full(scene: Scene, _target: str, _event: FaultEvent) -> Heal | None:
    store = scene.world.store
    store.full = True

    def heal() -> None:
        store.full = False

    return heal


def journal_slow(scene: Scene, _target: str, event: FaultEvent) -> Heal | None:
    store = scene.world.store
    store.slow_s = event.value

    def heal() -> None:
        store.slow_s = 0.0

    return heal
