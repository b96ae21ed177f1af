"""What can go wrong in the simulated world: the table of all kinds; each fault is one function in
`member_faults`, `network_faults`, `controller_faults` or `observer_faults`, with its healing.

A fault is applied to a target (a member, a node, a site, a controller) and returns what heals it, or None
where nothing does but the product or a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from controller.simulate import controller_faults as controllers
from controller.simulate import member_faults as members
from controller.simulate import network_faults as ways
from controller.simulate import observer_faults as eyes
from controller.simulate.network import Heal

if TYPE_CHECKING:
    from controller.simulate.scene import Scene

Apply = Callable[["Scene", str, "FaultEvent"], Heal | None]


@dataclass(frozen=True, slots=True)
class FaultEvent:
    """One fault of a scenario. at_s: from its beginning. for_s: until it heals; 0: it does not by itself.
    value: what the kind of fault makes of it."""

    at_s: float
    fault: str
    target: str
    for_s: float = 0.0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Kind:
    """on: what its target is: `member`, `node`, `site`, `link` (two places: `A,B`), `controller`, `observer`.
    grave: it takes the primary away from its clients, if it hits the primary."""

    apply: Apply
    on: str
    grave: bool
    sentence: str


KINDS: Final[dict[str, Kind]] = {
    "crash": Kind(members.crash, "member", True, "its processes are killed"),
    "backend-killed": Kind(
        members.backend_killed, "member", False, "one backend is killed; the server recovers"
    ),
    "freeze": Kind(members.freeze, "member", True, "its processes stand still"),
    "postmaster-stopped": Kind(
        members.postmaster_stopped, "member", False, "only its postmaster stands still"
    ),
    "start-fails": Kind(members.start_fails, "member", True, "it crashes and does not start again"),
    "restart": Kind(members.restart, "member", False, "an operator restarts it"),
    "admin-stop": Kind(members.admin_stop, "member", False, "an administrator stops it"),
    "slow-disk": Kind(members.slow_disk, "member", False, "its disk is slow"),
    "full-disk": Kind(members.full_disk, "member", True, "its disk is full"),
    "replay-paused": Kind(members.replay_paused, "member", False, "replay is paused"),
    "conflict": Kind(members.conflict, "member", False, "a session holds up replay"),
    "names-loosened": Kind(members.loosened, "member", False, "the synchronous setting is loosened by hand"),
    "promoted-outside": Kind(members.promoted_outside, "member", True, "somebody else promotes it"),
    "comes-back-empty": Kind(
        members.comes_back_empty, "member", True, "its host dies and comes back with other data"
    ),
    "saturated": Kind(members.saturated, "member", False, "it has no connection left"),
    "credentials": Kind(members.credentials, "member", False, "it refuses the monitor's password"),
    "idle-kill": Kind(members.idle_kill, "member", False, "a firewall closes idle connections"),
    "astray": Kind(members.standby_astray, "member", False, "somebody empties its primary_conninfo"),
    "host-down": Kind(ways.host_down, "node", True, "its host loses power"),
    "host-paused": Kind(ways.host_paused, "node", True, "its host stands still"),
    "node-cut": Kind(ways.node_cut, "node", True, "its host is cut off"),
    "node-deaf": Kind(ways.node_deaf, "node", True, "its host hears nothing"),
    "node-mute": Kind(ways.node_mute, "node", True, "its host is not heard"),
    "ops-cut": Kind(ways.ops_cut, "node", False, "the controllers can't reach its host"),
    "replication-cut": Kind(
        ways.replication_cut, "node", False, "its host is cut off from the other members"
    ),
    "clients-cut": Kind(ways.clients_cut, "node", False, "its host is cut off from the clients"),
    "slow-link": Kind(ways.slow_link, "node", False, "its link is slow"),
    "lossy-link": Kind(ways.lossy_link, "node", False, "its link loses packets"),
    "link-cut": Kind(ways.link_cut, "link", True, "the way between them is cut"),
    "site-cut": Kind(ways.site_cut, "site", True, "the site is cut off"),
    "site-down": Kind(ways.site_down, "site", True, "the site is lost"),
    "controller-blind": Kind(controllers.blind, "controller", False, "the controller's own network is out"),
    "controller-killed": Kind(controllers.killed, "controller", False, "the controller is killed"),
    "controller-frozen": Kind(controllers.frozen, "controller", False, "the controller stands still"),
    "taken-over": Kind(
        controllers.taken_over, "controller", False, "another controller takes over from a frozen one"
    ),
    "wall-jump": Kind(controllers.wall_jump, "controller", False, "the clock on the wall jumps"),
    "journal-full": Kind(controllers.journal_full, "controller", False, "the journal's disk is full"),
    "journal-slow": Kind(controllers.journal_slow, "controller", False, "the journal's disk is slow"),
    "observer-blind": Kind(eyes.observer_blind, "observer", False, "the observer's own network is out"),
    "observer-frozen": Kind(eyes.observer_frozen, "observer", False, "the observer stands still"),
    "observer-killed": Kind(eyes.observer_killed, "observer", False, "the observer is killed"),
}
