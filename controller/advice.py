"""What a person does about a gate that holds and about a diagnosis.

Printed in docs/operations/when-it-holds.md by `controller.report.holding_page`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class GateAdvice:
    guards: str
    todo: str


GATE_ADVICE: Final[dict[str, GateAdvice]] = {
    "mode": GateAdvice(
        guards=(
            "Mode `observe` does nothing by itself. Mode `act` is refused where the synchronous names are "
            "not each exactly one member, or where another manager runs the service."
        ),
        todo=(
            "In `observe`: run `bcm-failover failover SERVICE` if you want it done. Refused `act`: mend "
            "what the reason names; `check` and the setting on the primary must agree."
        ),
    ),
    "pause": GateAdvice(
        guards="Somebody has paused the service; the reason and the end are shown.",
        todo="Ask whoever paused it, or end it: `bcm-failover resume SERVICE`.",
    ),
    "command": GateAdvice(
        guards=(
            "A person has declared a disaster that concerns the service, and people decide. `natural`: its "
            "move is asked for when those that it needs have moved. `man-made` and `external`: nothing is "
            "switched by itself."
        ),
        todo=(
            "`bcm-failover incident plan INCIDENT` shows whose turn it is; `bcm-failover approve` answers. "
            "`incident split` takes a service out, `incident close` ends it all: see "
            "[declaring a disaster](declaring-a-disaster.md)."
        ),
    ),
    "leadership": GateAdvice(
        guards=(
            "This process does not hold the state directory, or its journal can't be trusted or written. "
            "It observes and pages only."
        ),
        todo=(
            "`bcm-failover status` says why. A second daemon on the same directory: stop one. Disk full: "
            "make room. Journal damaged: `bcm-failover journal verify`, then see "
            "[break-glass](break-glass.md#a-damaged-journal)."
        ),
    ),
    "observer": GateAdvice(
        guards=(
            "The reference targets do not answer either: the trouble may be this host's own network. Or this "
            "process is in trouble itself (it wakes late, or has no file descriptors left), so that what it "
            "sees is no ground for action; the reason says which."
        ),
        todo=(
            "Mend this host's network, or decide from another place. A process in trouble: look at the load, "
            "the memory and the limits of this host; it trusts itself again a few seconds after it is over."
        ),
    ),
    "observers": GateAdvice(
        guards=(
            "A replica still receives from the primary, or another observer is answered by it: it lives, the "
            "path from here to it does not. Or fewer than a majority of the declared observers see it lost: "
            "those that are silent, cut off or in trouble have no vote. The reason says who sees what."
        ),
        todo=(
            "Mend the path, or the observers that can't judge. If clients can't reach the primary either, "
            "use `switchover` or stop the primary yourself; or vouch for the outage with `--override S6`."
        ),
    ),
    "diagnosis": GateAdvice(
        guards="What was found is nothing that a failover mends, or a person must confirm it.",
        todo="See the diagnosis in the table below.",
    ),
    "confirmed": GateAdvice(
        guards="Not confirmed for long enough, or this controller never saw the primary up.",
        todo=(
            "Wait for the profile's time. After a fresh start on a primary that is down already: "
            "`bcm-failover failover SERVICE`."
        ),
    ),
    "flapping": GateAdvice(
        guards=(
            "The primary comes and goes: at least three times down and up again within its last 21 verdicts, "
            "of which newer ones weigh more. A switch, a cable or a firewall does that as well as a server, "
            "and a failover in the middle of it could be the wrong one. A crash or a restart is no flapping."
        ),
        todo=(
            "Look at the path from this host to the primary. Once it stays away, the gate opens by itself "
            "within eight of the profile's intervals, and once it stays up within sixteen. To move all the "
            'same: `bcm-failover failover SERVICE --override S6 --reason "…"`.'
        ),
    ),
    "blocked": GateAdvice(
        guards=(
            "An automatic failover has happened, and redundancy is not restored: a second one could be a "
            "loop. Or one ended without a known outcome, or two members were primary at once: only a person "
            "can tell what is right."
        ),
        todo=(
            "Look at what the reason names. Bring the missing copy back, or `bcm-failover acknowledge "
            "SERVICE --comment …` when the cause is known."
        ),
    ),
    "pingpong": GateAdvice(
        guards=(
            "The candidate lost the primary's role within `no_return` (an hour). That redundancy is back "
            "does not say why it was lost: going to and fro makes many outages of one cause."
        ),
        todo=(
            "Find out why it was lost. It is sound: `bcm-failover approve APR-…`, or beforehand "
            "`acknowledge SERVICE --comment …`. It is not: `failover SERVICE --to` another member."
        ),
    ),
    "order": GateAdvice(
        guards=(
            "Several services are out at once. One that this service needs is failing over, or is about to; "
            "or the budget does not last for all, and others are more important."
        ),
        todo=(
            "Nothing: it holds for the moments that the others take. Not to wait: `bcm-failover failover "
            "SERVICE`."
        ),
    ),
    "budget": GateAdvice(
        guards=(
            "More automatic failovers in the window than `daemon.failover_budget` allows: a common cause "
            "is likely."
        ),
        todo="Look for the common cause (network, storage, an upgrade). A failover by hand is not counted.",
    ),
    "execution": GateAdvice(
        guards=(
            "An execution is open for the service. Two at once would be two masters; nothing overrides this."
        ),
        todo=(
            "`bcm-failover execution list`, `execution show ID`; then `execution resume ID` or `execution "
            "abort ID`."
        ),
    ),
    "candidate": GateAdvice(
        guards=(
            "No member can be promoted; the reason says of each why not. For an engine without runbooks it "
            "never opens: the service is watched, and a person acts."
        ),
        todo="Bring a standby back, end its delay or paused replay, or take `excluded` off it.",
    ),
    "rpo": GateAdvice(
        guards=(
            "Not enough members can be read to prove that no acknowledged write is lost, or the newest "
            "canary is older than the RPO."
        ),
        todo=(
            "Bring back as many members as the reason asks for. If the data is known to be lost or "
            'expendable: `bcm-failover failover SERVICE --override S3 --reason "…"`; the verdict then is '
            "not `ZERO_PROVEN`."
        ),
    ),
    "dr": GateAdvice(
        guards=(
            "The candidate is at the DR site, and no observer in a third place sees the primary's whole site "
            "lost."
        ),
        todo=(
            "A person decides: `bcm-failover approve APR-…`, or `bcm-failover failover SERVICE --to MEMBER`."
        ),
    ),
    "approval": GateAdvice(
        guards=(
            "Everything is prepared and waits for a person, or for two: mode `ask`, or a rule that asks also "
            "in mode `act`; a switch that a person asks for where two must agree. Or somebody said no. An "
            "approval that is not given in time means no; the situation is then judged anew."
        ),
        todo=(
            "`bcm-failover approve APR-…`, or `reject APR-… --reason …` (`status` lists what waits and who "
            "may answer). Whoever asked can't approve. After a no: `failover SERVICE` by hand, or see "
            "[approvals](approvals.md)."
        ),
    ),
    "primary": GateAdvice(
        guards="Switchover only: the primary does not answer, so this is no planned move.",
        todo="`bcm-failover failover SERVICE`.",
    ),
}

CODE_ADVICE: Final[dict[str, str]] = {
    "Healthy": "Nothing.",
    "NotObservedYet": (
        "Wait for the first round of probes. If it stays: credentials, pg_hba.conf, address, firewall."
    ),
    "PrimarySuspect": "Wait: it is settled within the profile's time.",
    "ServiceSuspect": "Wait: it is settled within the profile's time. If not, `status` names the probe.",
    "PrimaryProcessDown": (
        "A failover follows where the gates let it. Find out why it died: server log, kernel log (OOM)."
    ),
    "PrimaryHung": ("A failover follows where the gates let it. Look at storage and at the host's console."),
    "PrimaryNodeDown": (
        "A failover follows where the gates let it. Keep the host from coming back as primary if you can."
    ),
    "PrimaryDiskFull": (
        "A failover follows to a candidate with room. Free space; a full pg_wal stops the server."
    ),
    "SiteDown": "A failover follows where the gates let it; to the DR site it is asked for.",
    "PrimaryRestarting": ("Wait. If it does not come up, it becomes PrimaryNotReady or PrimaryProcessDown."),
    "PrimaryNotReady": (
        "Look at the server log: a long recovery or a shutdown that waits. To switch all the same: "
        "`failover --override S6 --reason …`."
    ),
    "PrimaryShutDownByAdmin": (
        "Ask who stopped it. Meant: `pause` next time. Not meant: start it, or `failover --override S6 "
        "--reason …`. `on_admin_stop: failover` makes it automatic."
    ),
    "PrimaryConnectionsExhausted": (
        "Find who holds the connections; keep `superuser_reserved_connections` and a pooler. A failover "
        "would move the crowd along."
    ),
    "ProbeCredentialsRejected": (
        "Mend the monitor's password (secret in the estate, `\\password` on the primary) or pg_hba.conf. "
        "Nothing is concluded until then."
    ),
    "OtherManagerPresent": "Stop the other manager for this service, or leave the service to it.",
    "PrimaryReadOnly": (
        "Look for `default_transaction_read_only` (set by a fence?) and for recovery mode. `incident list` "
        "shows whether it was fenced."
    ),
    "PrimarySyncBlocked": (
        "Bring a synchronous standby back. Loosening `synchronous_standby_names` ends the wait and ends "
        "the proof."
    ),
    "PrimaryWritesBlocked": "Look for locks on the canary's table and for storage that hangs.",
    "PrimaryMemoryFull": (
        "Raise `maxmemory`, delete what is not needed, or choose an eviction policy. A replica is as full."
    ),
    "TooFewReplicas": "Bring the replicas back, or lower `min-replicas-to-write` knowing what that risks.",
    "PrimaryBadAnswer": (
        "Read what it answered: `explain SERVICE`, then the server's log. Redis: a save that fails (MISCONF)."
    ),
    "PrimaryListenerHung": (
        "The postmaster is stopped or starved. Node access settles it; a person approves or not."
    ),
    "PrimaryPartitioned": (
        "Mend the network between the primary and whoever can't reach it: the evidence names them. Where it "
        "answers here it opens no incident."
    ),
    "PrimaryWentBack": (
        "A restored snapshot or an empty disk. Keep it stopped; then `failover --override S6 --reason …` "
        "to a member that has the data."
    ),
    "SplitBrain": (
        "Stop the member that is not the recorded primary, at once. What it acknowledged is on it alone: "
        "keep its data directory as evidence. If the other side is right: stop the recorded primary, then "
        "`bcm-failover acknowledge SERVICE --comment …`; until then nobody is followed or brought back."
    ),
    "SwitchedOutside": (
        "Somebody promoted another member by hand. Check that the old primary is stopped; the incident "
        "tells what was seen."
    ),
    "EverythingUnknown": "Look at the daemon's host first: network, DNS, open files, load.",
    "PrimaryUnknown": "Look at the reason of the member in `status`: it says what could not be judged.",
    "ObserverIsolated": "Mend the daemon's own network. Nothing is done from here meanwhile.",
    "SiteIsolated": (
        "Mend the way to the site: its nodes live. Each service there is judged by its own rules; a replica "
        "that still hears its primary holds the failover."
    ),
    "NetworkDeviceDown": "Bring the device back: what is silent behind it follows by itself.",
    "EndpointDown": "Look at the balancer, virtual IP or name that clients use: the members work.",
    "DependencyDown": "See the service that it names, and the root of both in `status`.",
    "PoolDown": "Look at what all have in common: the version just rolled out, a database, a certificate.",
    "PoolHung": "Look at the load and at what the servers wait for; the hosts may be fine.",
    "PoolNodesDown": "Look at the hosts' power and network; nothing on them is to blame.",
    "PoolBelowMinimum": "Bring members back, the newest change first; `status` says of each what is wrong.",
    "ServiceUnreachable": "Look at the way there: switch, firewall, name service.",
    "ServiceHostFailed": "Look at the server that it runs on, then at the service.",
    "ServiceDown": "Look at the service itself: its log, and what it answered (`explain SERVICE`).",
    "AllStandbysDown": (
        "Bring a standby back. Until then writes wait (`when_single_copy: block`) or are on one copy."
    ),
    "OldPrimaryReturned": (
        "It is fenced and rejoined by itself (`rejoin: auto`). Without node access: stop it by hand."
    ),
    "NodeDown": "Bring the host back; what stood by on it follows by itself.",
    "StandbyDown": "Start the standby. Its server log says why it stopped.",
    "StandbyDetached": (
        "It is re-attached or rejoined by itself; without node access check its `primary_conninfo`."
    ),
    "ReplicationBroken": (
        "Read the error in `status`. Repair the row that differs, or build the replica again; do not skip "
        "events unread."
    ),
    "ErrantTransactions": (
        "Never promote it. Find who wrote there; build the replica again, or carry that over by hand."
    ),
    "ReplicaWritable": "Set `read_only = ON` there, also in its configuration.",
    "SemiSyncOff": (
        "Look why no replica acknowledged in time. Until it is in force again, a loss of the primary loses "
        "what was acknowledged since."
    ),
    "PoolDegraded": "Bring the members that are out back: the next loss is an outage.",
    "PoolMemberDown": "Bring the member back.",
    "ServiceDegraded": "Mend the way that is out: the last one may be next.",
    "ForeignSystem": "Wrong address, or a new `initdb`. Build the member again from the primary.",
    "RedundancyLost": "Build the member again (base backup); then the block ends.",
    "ConfigDrift": "Somebody loosened the setting. Put it back, or change the estate and reload.",
    "StandbyLagging": "Network, storage or a long query on the standby.",
    "DiskFilling": "Make room, or enlarge the volume, before it is PrimaryDiskFull.",
    "SaveFailing": "Look at Redis's log and at its disk: `INFO persistence`.",
    "MemoryFilling": "Raise `maxmemory` or delete what is not needed, before writes are refused.",
    "ConnectionsFilling": "Find who holds the connections, or raise the limit, before clients are refused.",
    "LatencyDegraded": "Look at storage and load; nothing is done by itself.",
    "CanarySlow": "Look at storage, load and the synchronous standbys: a slower write is an outage.",
    "CertificateExpiring": "Renew the certificate and reload its server; look why the renewal did not run.",
    "ClockSkew": "Look at the NTP client of the host: `chronyc tracking` or `timedatectl`.",
    "BackupStale": "Look why the last backup did not run or failed, and make one now.",
}
