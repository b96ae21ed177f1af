"""Records as they lie in the journal: canonical JSON without its hash, and the hash beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.canonical import canonical_json
from model.events import Event

RECORD_VERSION: Final = 1  # raised when a field changes its meaning; readers go on accepting older ones


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has its place in the chain. `incident` or `execution` "new": named after its seq."""

    type: str
    data: Mapping[str, Any]
    service: str | None
    incident: str | None
    execution: str | None
    actor: str
    anchor: bool
    mono_ns: int
    wall_utc: str
    wall_offset_us: int | None


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: the owner's name, the boot, and the epoch of its leadership."""

    owner: str
    boot_id: str
    epoch: int


def snapshot(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data as it will be read back: a later change by the caller does not reach the journal.

    Raises TypeError on floats and on what JSON has no value for.
    """
    value: dict[str, Any] = json.loads(canonical_json(data))
    return value


def seal(draft: Draft, writer: Writer, *, seq: int, prev: str) -> tuple[Event, str]:
    """The finished event and its text for the database."""
    record: dict[str, Any] = {
        "seq": seq,
        "epoch": writer.epoch,
        "writer": writer.owner,
        "boot_id": writer.boot_id,
        "mono_ns": draft.mono_ns,
        "wall_utc": draft.wall_utc,
        "wall_offset_us": draft.wall_offset_us,
        "type": draft.type,
        "v": RECORD_VERSION,
        "service": draft.service,
        "incident": f"INC-{seq}" if draft.incident == "new" else draft.incident,
        "execution": f"EXE-{seq}" if draft.execution == "new" else draft.execution,
        "actor": draft.actor,
        "data": draft.data,
        "prev": prev,
    }
    text = canonical_json(record)
    return Event(**record, hash=text_hash(text)), text.decode()


def text_hash(text: bytes) -> str:
    """SHA-256 of a record's canonical text; the same as model.canonical.record_hash of its fields."""
    return hashlib.sha256(text).hexdigest()


def decode(text: str, hash_: str) -> Event:
    """An event from its text. Fields that an older version did not have get what was true then.

    Raises ValueError if it is no record.
    """
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError("is no JSON object")
    try:
        return Event(
            seq=_integer(record, "seq"),
            epoch=_integer(record, "epoch"),
            writer=str(record.get("writer", "")),
            boot_id=str(record.get("boot_id", "")),
            mono_ns=_integer(record, "mono_ns"),
            wall_utc=str(record["wall_utc"]),
            wall_offset_us=record.get("wall_offset_us"),
            type=str(record["type"]),
            v=_integer(record, "v"),
            service=record.get("service"),
            incident=record.get("incident"),
            execution=record.get("execution"),
            actor=str(record.get("actor", "daemon")),
            data=record.get("data", {}),
            prev=str(record["prev"]),
            hash=hash_,
        )
    except KeyError as error:
        raise ValueError(f"has no {error}") from error


def _integer(record: Mapping[str, Any], key: str) -> int:
    value = record[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is no integer")
    return value
