"""The facts that an incident freezes at its opening, small enough to stand in the journal."""

from __future__ import annotations

from typing import Any

from controller.supervisor.knowledge import Knowledge


def frozen_facts(version: str, digest: str, knowledge: Knowledge) -> dict[str, Any]:
    """version: of the product; digest: of the estate. Raw observations go to a file (IncidentDesk.freeze)."""
    history = knowledge.settings
    return {
        "version": version,
        "estate_digest": digest,
        "profile": knowledge.service.detection.name,
        "objectives": {
            "rto_ms": int(knowledge.service.objectives.rto * 1000),
            "rpo_ms": int(knowledge.service.objectives.rpo * 1000),
            "mtpd_ms": int(knowledge.service.objectives.mtpd * 1000),
        },
        "sync_setting": {
            "value": history.current,
            "all": list(history.texts),
            "read_ns": history.read_ns,
            "synchronous_commit": knowledge.synchronous_commit,
        },
        "last_acked_canary": knowledge.last_acked_canary,
        "high_water": {
            m: {"timeline": t, "lsn": lsn} for m, (t, lsn) in sorted(knowledge.high_water.items())
        },
        "people": sorted(knowledge.estate.people),
    }
