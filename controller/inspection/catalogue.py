"""The table of checks: what is looked at, how, why it matters, and what to do about a finding.

docs/operations/inspection.md is printed from it: `python -m controller.inspection.page`.
"""

from __future__ import annotations

from typing import Final

from controller.inspection import estate_checks, node_checks, probe_checks, service_checks
from controller.inspection.words import Check

CATALOGUE: Final = (
    Check(
        "probes",
        "What is watched answers",
        "one fresh attempt of every probe; its facts against the thresholds of `warnings`",
        "What does not answer can't be watched, and what is full or runs out soon is the next outage.",
        "bcm-failover probe run NAME --debug shows every step of it.",
        probe_checks.probes,
    ),
    Check(
        "candidate",
        "Somebody can take over, with proof",
        "fresh positions of all members against the synchronous setting in force",
        "Without a candidate, or without proof that it has every acknowledged write, a failover holds.",
        "Bring the missing standbys back; bcm-failover explain SERVICE says what is missing.",
        service_checks.candidate,
    ),
    Check(
        "copies",
        "As many copies as declared",
        "each standby runs, streams, and is on the primary's timeline",
        "Each missing copy is one less that may be lost, and with the last one writes stop.",
        "See the probes of the member that is missing, and its server's log.",
        service_checks.copies,
    ),
    Check(
        "sync",
        "Commits wait for whom they should",
        "synchronous_standby_names in force against the estate; pg_stat_replication on the primary",
        "A looser setting loses writes silently; an ambiguous name proves nothing.",
        "Put the setting of the estate in force on the primary, or change the estate and reload.",
        service_checks.sync_state,
    ),
    Check(
        "standing",
        "Nothing stands in the way",
        "the journal: pauses, blocks, open executions",
        "A service that is paused or blocked is not failed over by itself.",
        "End what is no longer meant.",
        service_checks.standing,
    ),
    Check(
        "rewind",
        "An old primary can be rewound",
        "data checksums or wal_log_hints of each member",
        "Without either, it comes back by a whole base backup: hours without redundancy instead of seconds.",
        "Set wal_log_hints = on (a restart), or enable checksums with pg_checksums while it is stopped.",
        service_checks.rewind,
    ),
    Check(
        "room",
        "Room to bring a member back",
        "df on the data directory against max_wal_size and the size of all databases",
        "A rewind fetches log, a base backup is made beside the old copy: without room neither ends.",
        "Make room on the volume, or enlarge it.",
        node_checks.room,
    ),
    Check(
        "access",
        "Commands run on every node",
        "`true` as each account that the product has to become there",
        "Without access an old primary can't be stopped, rewound or rejoined.",
        "Check the key, authorized_keys and sudoers on the node: docs/operations/install.md.",
        node_checks.access,
    ),
    Check(
        "known-hosts",
        "Host keys are known",
        "the file of known_hosts, for each node that is reached by ssh",
        "An unknown host key is refused: there is no access in the moment when it is needed.",
        "ssh-keyscan HOST >> FILE, and compare the fingerprint with the host's own.",
        node_checks.known_hosts,
    ),
    Check(
        "clocks",
        "Clocks agree",
        "`date` on each node, between two looks at this host's clock",
        "Logs of two hosts can't be put in order, and time-outs of tokens and certificates fail early.",
        "Look at the NTP client of the node: `chronyc tracking` or `timedatectl`.",
        node_checks.clocks,
    ),
    Check(
        "runbooks",
        "Runbooks fit the service",
        "every rule of `runbook lint`, for each service",
        "A step that needs the failed site, or more time than the RTO has, is else found in the outage.",
        "bcm-failover runbook lint NAME -c FILE --service SERVICE names the line.",
        service_checks.runbook_lints,
    ),
    Check(
        "rto",
        "The RTO can be met",
        "the 95th percentile of each step of past executions, and the profile's longest detection",
        "An objective that past executions did not meet will not be met.",
        "Take a faster profile, or look at the slowest step: bcm-failover execution show ID.",
        service_checks.expected_rto,
    ),
    Check(
        "secrets",
        "Secrets can be read",
        "each reference of the estate is resolved; its value is neither kept nor shown",
        "A password that can't be read makes a server look unreachable to this product alone.",
        "Check the path and the rights of the daemon's account.",
        estate_checks.secrets,
    ),
    Check(
        "leadership",
        "A controller leads",
        "the daemon's own state",
        "Without leadership nothing is done and nothing journaled.",
        "bcm-failover status says why it does not lead.",
        estate_checks.leadership,
        of_service=False,
    ),
    Check(
        "journal",
        "The journal is what was written",
        "every record, the chain of hashes and the anchors; free space beside it",
        "The journal is the evidence, and what a restarted daemon knows.",
        "Keep the files; bcm-failover journal verify, then docs/operations/break-glass.md.",
        estate_checks.journal,
        of_service=False,
    ),
    Check(
        "pager",
        "Somebody is told",
        "the pager of the estate, and pages that nobody has taken",
        "A failover that holds waits for a person who does not know of it.",
        "Declare `pager`: Alertmanager, a program, or both.",
        estate_checks.pager,
        of_service=False,
    ),
    Check(
        "push-token",
        "What is pushed is taken",
        "daemon.push_token, against declared heartbeats and the rules of alerts",
        "Without a token every push is refused: a heartbeat then looks silent, an alert is not heard.",
        "Declare daemon.push_token and give the token to whoever pushes.",
        estate_checks.push_token,
        of_service=False,
    ),
    Check(
        "watchdog",
        "A hung daemon is started again",
        "the service manager's watchdog, as it was given to this process",
        "A daemon that hangs looks alive and watches nothing.",
        "Run it from the shipped unit, which has WatchdogSec=.",
        estate_checks.watchdog,
        of_service=False,
    ),
    Check(
        "own-network",
        "Its own network can be told apart",
        "daemon.reference_targets, or a declared probe with `reference`",
        "When everything looks dead, this host's own uplink is the first suspect.",
        "Declare a router or a DNS server in daemon.reference_targets.",
        estate_checks.own_network,
        of_service=False,
    ),
    Check(
        "own-clock",
        "This host's clock is kept",
        "the kernel's own word (adjtimex)",
        "The times in reports and evidence are this host's.",
        "Run an NTP client: chrony or systemd-timesyncd.",
        estate_checks.own_clock,
        of_service=False,
    ),
)

ORDER: Final = {check.name: number for number, check in enumerate(CATALOGUE)}
