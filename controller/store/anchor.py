"""The anchor file: (seq, hash) of the journal's head, kept apart from the journal.

A database whose tail was cut off (an older copy of its write-ahead log put back) is consistent in itself:
only something outside can say that there was more. Lines are of fixed length in a file that is filled with
blanks beforehand. So a line is written in place: it needs no room on a disk that is full, syncing it touches
no metadata (110 against 240 µs), and it is never torn, because no line crosses a disk sector.

A line is written after its record is committed: an anchor ahead of the journal is never a crash's doing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller.store.files import StateFiles, sync_directory

LINE_BYTES: Final = 128  # divides a sector of 512
LINES: Final = 4096  # 512 KiB a file; two files are kept
_LINE = re.compile(r"^(?P<seq>0|[1-9][0-9]{0,18}) (?P<hash>[0-9a-f]{64}) (?P<wall>[0-9TZ:.\-]{1,32})$")


@dataclass(frozen=True, slots=True)
class Anchor:
    """What one line says, and where it stands (`line` counts from 1)."""

    seq: int
    hash: str
    wall_utc: str
    file: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.file} line {self.line}"


@dataclass(frozen=True, slots=True)
class Anchors:
    """All lines of both files, the older first."""

    lines: tuple[Anchor, ...]
    problems: tuple[str, ...]

    @property
    def last(self) -> Anchor | None:
        return max(self.lines, key=lambda a: a.seq, default=None)


NO_ANCHORS: Final = Anchors((), ())


def read_anchors(files: StateFiles) -> Anchors:
    """Reads only. A missing file has no lines."""
    lines: list[Anchor] = []
    problems: list[str] = []
    for path in (files.previous_anchor, files.anchor):
        found, bad = _read_file(path)
        if bad:  # a line that was being written just now reads whole the second time
            found, bad = _read_file(path)
        lines += found
        problems += bad
    return Anchors(tuple(lines), tuple(problems))


def _read_file(path: Path) -> tuple[list[Anchor], list[str]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], []
    lines: list[Anchor] = []
    problems: list[str] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        # Blocks that were allocated but not yet written when the power failed read as NUL bytes.
        text = raw.replace(b"\0", b"").decode("ascii", "replace").strip()
        if not text:
            continue
        match = _LINE.match(text)
        if match is None:
            problems.append(f"{path.name} line {number}: is no anchor")
            continue
        anchor = Anchor(int(match["seq"]), match["hash"], match["wall"], path.name, number)
        if lines and anchor.seq <= lines[-1].seq:
            problems.append(f"{anchor.where}: record {anchor.seq} after record {lines[-1].seq}")
        lines.append(anchor)
    return lines, problems


class AnchorFile:
    """The owner's anchor file, open for writing."""

    def __init__(self, files: StateFiles, *, lines: int = LINES) -> None:
        self._files = files
        self._lines = lines
        self._descriptor = -1
        self._next = 0
        self._last: tuple[int, str, str] | None = None

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def open(self, seq: int, hash_: str, wall_utc: str) -> None:
        """Go on after the last line. A new file begins with the head that is given, so that one without any
        line was emptied by somebody. Raises OSError."""
        found, _ = _read_file(self._files.anchor)
        if not found:
            self._last = (seq, hash_, wall_utc)
            self.rotate()
            return
        last = found[-1]
        self._last = (last.seq, last.hash, last.wall_utc)
        self._next = last.line
        self._descriptor = os.open(self._files.anchor, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        if os.fstat(self._descriptor).st_size < self._lines * LINE_BYTES:
            self.rotate()  # somebody cut off its blanks: a line would need room again

    def ensure_room(self) -> None:
        """Before a commit, so that after it a line can't fail for want of room. Raises OSError."""
        if self._next >= self._lines:
            self.rotate()

    def rotate(self) -> None:
        """Begin a new file, whose first line is the last of the old one, which is kept as `anchor.1`.

        At every instant a file named `anchor` exists, so that its absence means that it was taken away.
        """
        fresh = self._files.dir / "anchor.new"
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            blank = b" " * (LINE_BYTES - 1) + b"\n"
            _write_all(descriptor, blank * self._lines)
            if self._last is not None:
                os.pwrite(descriptor, _line(*self._last), 0)
            os.fsync(descriptor)
            if self._files.anchor.exists():
                kept = self._files.dir / "anchor.old"
                kept.unlink(missing_ok=True)
                os.link(self._files.anchor, kept)
                kept.rename(self._files.previous_anchor)
            fresh.rename(self._files.anchor)
            sync_directory(self._files.dir)
        except BaseException:
            os.close(descriptor)
            fresh.unlink(missing_ok=True)
            raise
        self.close()
        self._descriptor = descriptor
        self._next = 0 if self._last is None else 1

    def put(self, seq: int, hash_: str, wall_utc: str, *, sync: bool) -> None:
        """Write the next line; with `sync` it is on disk before this returns. Raises OSError.

        Unsynced lines cost one write and survive the death of the process, if not of the host.
        """
        os.pwrite(self._descriptor, _line(seq, hash_, wall_utc), self._next * LINE_BYTES)
        self._next += 1
        self._last = (seq, hash_, wall_utc)
        if sync:
            os.fdatasync(self._descriptor)

    def sync(self) -> None:
        """Bring the lines so far to the disk. Raises OSError."""
        if self.is_open:
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _line(seq: int, hash_: str, wall_utc: str) -> bytes:
    return f"{seq} {hash_} {wall_utc}".encode().ljust(LINE_BYTES - 1) + b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
