"""What the account that changes a member may do there. Looked at before anything is changed: a promotion that
is refused half-way leaves nobody to take writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from runbooks.actions.mariadb.asking import ANSWER_S, Asking

# As SHOW GRANTS names them. RELOAD: for RESET SLAVE.
NEEDED: Final = (
    "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN", "REPLICATION MASTER ADMIN", "CONNECTION ADMIN", "PROCESS",
    "RELOAD", "SLAVE MONITOR",
)  # fmt: skip
_GLOBAL: Final = re.compile(r"^GRANT (?P<rights>.+?) ON \*\.\* TO ")
# The server shows them under other names than those under which they are given.
_SHOWN: Final = {"READ ONLY ADMIN": "READ_ONLY ADMIN", "REPLICA MONITOR": "SLAVE MONITOR"}


def lacking(grants: Sequence[str]) -> list[str]:
    """Of NEEDED, by the lines of SHOW GRANTS."""
    given: set[str] = set()
    for line in grants:
        found = _GLOBAL.match(line)
        if found:
            given |= {_SHOWN.get(r.strip(), r.strip()) for r in found["rights"].split(",")}
    if "ALL PRIVILEGES" in given:
        return []
    return [right for right in NEEDED if right not in given]


async def missing_rights(asking: Asking) -> list[str]:
    """Of the session's own account. Raises NoAnswerError, DeclinedError."""
    rows = await asking.query("SHOW GRANTS", within_s=ANSWER_S)
    return lacking([text or "" for row in rows for text in row.values()])
