"""Journal events for the folds of the supervisor, as terse as a test wants them."""

from __future__ import annotations

from typing import Any

from model.events import Event

SERVICE = "orders"


def event(
    type_: str,
    data: dict[str, Any] | None = None,
    *,
    seq: int = 1,
    service: str | None = SERVICE,
    incident: str | None = None,
    execution: str | None = None,
    boot: str = "boot",
    actor: str = "daemon",
    wall: str = "2026-01-01T00:00:00.000000Z",
) -> Event:
    return Event(
        seq=seq,
        epoch=1,
        writer="test",
        boot_id=boot,
        mono_ns=seq * 1_000_000_000,
        wall_utc=wall,
        wall_offset_us=None,
        type=type_,
        v=1,
        service=service,
        incident=incident,
        execution=execution,
        actor=actor,
        data=data or {},
        prev="",
        hash="",
    )
