"""The journal's vocabulary: the one append-only sequence that is the truth about incidents and executions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

GENESIS_HASH: Final = "0" * 64

# --- the daemon and its estate
DAEMON_STARTED: Final = "daemon.started"  # {version, estate_digest, pid}
DAEMON_STOPPED: Final = "daemon.stopped"  # {reason}
ESTATE_LOADED: Final = "estate.loaded"  # {digest, path}
ESTATE_REJECTED: Final = "estate.rejected"  # {path, problems}
EPOCH_TAKEN: Final = "epoch.taken"  # {owner, previous_owner, reason}
# The first record of a journal that took the place of a broken one (`sealed` names the old one's directory):
# {person, reason, sealed, digests: {file: sha256}, last_good_seq, last_good_hash, problems}
JOURNAL_RESTARTED: Final = "journal.restarted"

# Files beside the journal that their policy lets go: {kind: outputs|facts, keep_s, files: [{path, bytes,
# sha256}]}; it is on disk before the first of them is deleted
FILES_DELETED: Final = "files.deleted"

# --- what is seen
SERVICE_PRIMARY: Final = "service.primary"  # {member, timeline, system_identifier, why}
SYNC_SETTING: Final = (
    "sync.setting"  # {member, value, source: read|set, previous, previous_read_ns, confirmed}
)
HIGH_WATER: Final = "member.high_water"  # {members: {member: {timeline, lsn}}}
MEMBER_RETIRED: Final = "member.retired"  # {member, why, kind: of the execution}: fenced when it answers
MEMBER_REJOINED: Final = "member.rejoined"  # {member}
HEALTH_CHANGED: Final = "health.changed"  # {target, probe, from, to, why}
DIAGNOSIS_CHANGED: Final = "diagnosis.changed"  # Diagnosis.to_json()
ROOT_FOUND: Final = "root.found"  # {root: Root.to_json(), services}: what services suffer from, and which
ROOT_OVER: Final = "root.over"  # {key}
# Alertmanager's, of a service: {fingerprint, name, says: down|up|warning, summary, labels, unrecorded};
# unrecorded: changes that were left out before it, if any. Resolved: also why (resolved, forgotten, …).
ALERT_RECEIVED: Final = "alert.received"
ALERT_RESOLVED: Final = "alert.resolved"

# --- incidents
INCIDENT_OPENED: Final = "incident.opened"  # {t0_ns, first_bad_ns, diagnosis, level, manual, frozen: {...}}
# A person declared a disaster: opens an incident of no single service; its actor has declared it. As
# incident.opened, and {tier: natural|man-made|external, scope: {kind, name}, reason, services, leaving:
# {service: members at the place}, plan: SitePlan.to_json()}
INCIDENT_DECLARED: Final = "incident.declared"
INCIDENT_OPENINGS: Final = frozenset({INCIDENT_OPENED, INCIDENT_DECLARED})
INCIDENT_MERGED: Final = "incident.merged"  # {part, reason}: `part` is from now on a part of this incident
INCIDENT_SPLIT: Final = "incident.split"  # {part or null, reason}: the service, and its part, go apart again
FACTS_FROZEN: Final = "facts.frozen"  # {file, sha256, observations}: raw observations around T0
INCIDENT_LEVEL: Final = "incident.level"  # {level, from, why}: it only rises
INCIDENT_ACKNOWLEDGED: Final = "incident.acknowledged"  # {comment}: confirmed by the actor
INCIDENT_REPORTED: Final = "incident.reported"  # {to, comment}
DEADLINE_MISSED: Final = "deadline.missed"  # {what: confirmation|report, level, within_ms, office}
INCIDENT_RECOVERED: Final = "incident.recovered"  # {primary, how}: `primary` null for a service that has none
INCIDENT_CLOSED: Final = "incident.closed"  # {reason, head_seq, head_hash, signature}
# Its outage has the root of this incident: {service, part: its own incident or null, code, root: key}
INCIDENT_CONSEQUENCE: Final = "incident.consequence"
CLOCK_MARK: Final = "clock.mark"  # {mark: T0..T10, at_ns, note}; at_ns is the writer's monotonic clock
DECISION_MADE: Final = "decision.made"  # Decision.to_json()
OVERRIDE_RECORDED: Final = "override.recorded"  # {rule, reason, person}
RPO_VERDICT: Final = "rpo.verdict"  # RpoVerdict.to_json()

# --- executions
# {runbook, kind, digest, definition (the whole runbook), plan, mode, trigger (automatic|manual), vars,
# steps: [{id, action, budget_ms}], expected_ms, rto_ms, continues: the one that was handed over to it}
EXECUTION_OPENED: Final = "execution.opened"
STEP_INTENT: Final = "step.intent"  # {step, action, attempt, changing, commands, inputs, why}
STEP_RESULT: Final = "step.result"  # {step, outcome, output, detail, took_ns, reason, attempt}
UNDO_INTENT: Final = "undo.intent"  # {step, action}
UNDO_RESULT: Final = "undo.result"  # {step, outcome, detail, took_ns}
EXECUTION_RESUMED: Final = "execution.resumed"  # {reason}
EXECUTION_CLOSED: Final = "execution.closed"  # {state, reason, step, asks}
ABORT_REQUESTED: Final = "abort.requested"  # {reason}
PAUSE_REQUESTED: Final = "pause.requested"  # {reason}: it rests at the next place where it may
EXECUTION_PAUSED: Final = "execution.paused"  # {reason, before: [steps]}: nothing begins any more
EXECUTION_CONTINUED: Final = "execution.continued"  # {reason}: a pause, asked for or come to, is over
# {step, attempt, kind: approval|manual|decision, text, needed, expires_wall_ns, given: who agreed before a
# restart, words: the answers that there are}
STEP_ASKED: Final = "step.asked"
STEP_ANSWERED: Final = "step.answered"  # {step, word: yes|no|retry|skip, reason}; its actor said it
STEP_SKIP_REQUESTED: Final = "step.skip_requested"  # {step, reason}: it is passed over when its turn comes

# --- early warnings and inspections
WARNING_RAISED: Final = "warning.raised"  # {code, about, part, sentence, severity}
WARNING_CLEARED: Final = "warning.cleared"  # {code, about, part, sentence, why}
# {scope: service or null, trigger: schedule|person, took_ms, counts: {result: n}, left_out,
# findings: [{check, about, result, text}]}: what was not ok
INSPECTION_DONE: Final = "inspection.done"

# --- people and pages
SERVICE_PAUSED: Final = "service.paused"  # {until_wall_ns, reason}
SERVICE_RESUMED: Final = "service.resumed"  # {reason}
SERVICE_BLOCKED: Final = "service.blocked"  # {reason}: no automatic failover until unblocked (S8)
SERVICE_UNBLOCKED: Final = "service.unblocked"  # {reason}
# {approval, what, runbook, to, requester, expires_wall_ns, code, level, needed, wish: {overrides, reason}}
APPROVAL_REQUESTED: Final = "approval.requested"
APPROVAL_GIVEN: Final = "approval.given"  # {approval, person}
# {approval, person, reason, level, code}: a no, and the circumstances in which it was said
APPROVAL_REJECTED: Final = "approval.rejected"
APPROVAL_EXPIRED: Final = "approval.expired"  # {approval, reason}
APPROVAL_USED: Final = "approval.used"  # {approval, what, requester, given_by}: it is launched
PAGE_QUEUED: Final = "page.queued"  # {page, severity, summary, detail}, of an incident's: level, people: ids
PAGE_DELIVERED: Final = "page.delivered"  # {page, channel}
PAGE_FAILED: Final = "page.failed"  # {page, channel, error}: given up
PAGES_RESUMED: Final = "pages.resumed"  # {pages: [...]}: undelivered when the daemon ended


@dataclass(frozen=True, slots=True)
class Event:
    """One record. `hash` is SHA-256 over the canonical JSON of all the other fields; no floats anywhere.

    `epoch` is the leadership under which it was written; `mono_ns` the writer's CLOCK_MONOTONIC within
    `boot_id`; `wall_utc` ISO 8601 with microseconds; `wall_offset_us` the host's clock offset in µs as its
    NTP client states it, or None if not known.
    """

    seq: int
    epoch: int
    writer: str
    boot_id: str
    mono_ns: int
    wall_utc: str
    wall_offset_us: int | None
    type: str
    v: int
    service: str | None
    incident: str | None
    execution: str | None
    actor: str
    data: Mapping[str, Any]
    prev: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "epoch": self.epoch,
            "writer": self.writer,
            "boot_id": self.boot_id,
            "mono_ns": self.mono_ns,
            "wall_utc": self.wall_utc,
            "wall_offset_us": self.wall_offset_us,
            "type": self.type,
            "v": self.v,
            "service": self.service,
            "incident": self.incident,
            "execution": self.execution,
            "actor": self.actor,
            "data": dict(self.data),
            "prev": self.prev,
            "hash": self.hash,
        }
