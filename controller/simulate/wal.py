"""Who has which write: branches of one history, and positions on them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

SEGMENT: Final = 16 << 20
# No room for another segment is left below this: the disk is as good as full.
FULL_BYTES: Final = 4 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Branch:
    """One timeline of one system. Two promotions may give the same number to different branches: only `is`
    tells them apart. fork_lsn: where it left its parent. canaries: (positions, numbers) written on it."""

    system: str
    number: int
    parent: Branch | None = None
    fork_lsn: int = 0
    canaries: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))

    def fork(self, lsn: int) -> Branch:
        return Branch(self.system, self.number + 1, self, lsn)

    def limit_on(self, other: Branch, lsn: int) -> int | None:
        """How far a server at `lsn` of this branch shares the history of `other`; None: it is not on it."""
        branch: Branch | None = self
        limit = lsn
        while branch is not None:
            if branch is other:
                return limit
            limit = min(limit, branch.fork_lsn)
            branch = branch.parent
        return None

    def common_lsn(self, lsn: int, other: Branch, other_lsn: int) -> int:
        """Up to where two servers have the same history; 0: nothing in common."""
        branch: Branch | None = other
        limit = other_lsn
        while branch is not None:
            mine = self.limit_on(branch, lsn)
            if mine is not None:
                return min(mine, limit)
            limit = min(limit, branch.fork_lsn)
            branch = branch.parent
        return 0

    def canary_at(self, lsn: int) -> int:
        """The number in the canary row of a server that has replayed up to `lsn`; 0: none was written."""
        branch: Branch | None = self
        limit = lsn
        while branch is not None:
            positions, numbers = branch.canaries
            found = bisect_right(positions, limit)
            if found:
                return numbers[found - 1]
            limit = min(limit, branch.fork_lsn)
            branch = branch.parent
        return 0


@dataclass(frozen=True, eq=False, slots=True)
class Write:
    """A commit: where it lies. number: of the canary, or of a client's own count. sent_s: when its client
    sent it."""

    branch: Branch
    lsn: int
    kind: str
    number: int
    client: str = ""
    sent_s: float = 0.0


def has(branch: Branch, lsn: int, write: Write) -> bool:
    """Does a server at `lsn` of `branch` have it?"""
    limit = branch.limit_on(write.branch, lsn)
    return limit is not None and write.lsn <= limit
