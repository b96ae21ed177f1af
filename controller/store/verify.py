"""Is the journal what was written? For people and for start-up checks; reads only.

What stays undetectable from the state directory alone: that journal and anchor file were both replaced by
older or newly computed ones. The heads in the system log, in closed reports and in their signatures show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.store.files import StateFiles
from controller.store.scan import scan_files


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`ok` with no problems. last_seq, head_hash: of the last record that is there; 0 and zeros if none.

    last_good_seq: the last record before the first problem. anchored_seq: the newest that the anchor file
    knows, None without one.
    """

    ok: bool
    problems: tuple[str, ...]
    last_seq: int
    head_hash: str
    records: int
    last_good_seq: int
    anchored_seq: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "last_seq": self.last_seq,
            "head_hash": self.head_hash,
            "records": self.records,
            "last_good_seq": self.last_good_seq,
            "anchored_seq": self.anchored_seq,
        }


def verify(state_dir: Path) -> VerifyReport:
    """Every record, the database's own structure and every anchor; with the daemon alive or dead."""
    scan = scan_files(StateFiles(state_dir), strict=True)
    last = scan.anchors.last
    return VerifyReport(
        ok=not scan.problems,
        problems=tuple(scan.problems),
        last_seq=scan.check.head.seq,
        head_hash=scan.check.head.hash,
        records=scan.records,
        last_good_seq=scan.check.last_good.seq,
        anchored_seq=last.seq if last else None,
    )
