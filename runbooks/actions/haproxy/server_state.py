"""What `show servers state` of HAProxy says, as values. Pure.

Source: HAProxy's management guide, 9.3 `show servers state`, format version 1; bits as in `server-t.h`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FORCED_MAINT: Final = 0x01
_INHERITED_MAINT: Final = 0x02
_DISABLED_IN_CONFIGURATION: Final = 0x04
_DRAIN: Final = 0x08 | 0x10
_RESOLUTION_MAINT: Final = 0x20
_MAINT: Final = _FORCED_MAINT | _INHERITED_MAINT | _RESOLUTION_MAINT
_RUNNING: Final = 2
_STARTING: Final = 1

READY: Final = "ready"
DRAIN: Final = "drain"
MAINT: Final = "maint"


class NoStateError(ValueError):
    """The answer is not what HAProxy says, or says no."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server. operational: 0 stopped, 1 starting, 2 running, 3 stopping. admin: HAProxy's own bits."""

    name: str
    address: str
    port: int
    operational: int
    admin: int

    @property
    def word(self) -> str:
        """ready, drain or maint: what people or we told HAProxy, whatever its checks say."""
        if self.admin & _MAINT:
            return MAINT
        return DRAIN if self.admin & _DRAIN else READY

    @property
    def up(self) -> bool:
        """HAProxy sends it traffic."""
        return self.word == READY and self.operational in (_STARTING, _RUNNING)

    @property
    def starts_disabled(self) -> bool:
        """Its configuration says `disabled`: after a restart of HAProxy it takes no traffic (P9)."""
        return bool(self.admin & _DISABLED_IN_CONFIGURATION)


def read_server_states(text: str, backend: str) -> dict[str, ServerState]:
    """Server → state, in HAProxy's order. Raises NoStateError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        said = lines[0].strip()[:100] if lines else "nothing"
        raise NoStateError(f"backend {backend!r}: HAProxy says {said!r}")
    columns = lines[1].removeprefix("# ").split()
    found: dict[str, ServerState] = {}
    for line in lines[2:]:
        row = dict(zip(columns, line.split(), strict=False))
        try:
            if row["be_name"] == backend:
                found[row["srv_name"]] = ServerState(
                    row["srv_name"], row["srv_addr"], int(row["srv_port"]), int(row["srv_op_state"]),
                    int(row["srv_admin_state"]),
                )  # fmt: skip
        except (KeyError, ValueError) as exc:
            raise NoStateError(f"a line that can't be read: {line[:100]!r}") from exc
    return found
