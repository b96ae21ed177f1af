"""Which file of a pattern is the newest: the command that looks, and what it says.

One command does all of it, on this host or on a node, so that a look is one round trip, and so that times are
compared with the clock of the host that wrote them. It needs find, sort and head of GNU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath

from probes.texts import one_line

# What programs name a file that they have not finished, and what editors and copiers leave behind.
UNFINISHED = (".*", "*.partial", "*.part", "*.filepart", "*.incomplete", "*.tmp", "*.temp", "*~")
MOST_LISTED = 500
_WILD = re.compile(r"[*?\[]")
_STATUS_MARK = "99999999999"  # sorts before the time of any file
# Its arguments are find's. Records end in NUL: a name can hold anything else.
_SCRIPT = f"""
date +%s
{{ find "$@" -printf '%T@ %s %p\\0'; printf '{_STATUS_MARK} %s status\\0' "$?"; }} |
sort -z -rn | head -z -n {MOST_LISTED}
"""


class ListingError(Exception):
    """What came back is no listing."""


@dataclass(frozen=True, slots=True)
class BackupFile:
    """`changed_s`: seconds since 1970, by the clock of the host that has it."""

    path: str
    size_bytes: int
    changed_s: int


@dataclass(frozen=True, slots=True)
class Listing:
    """The newest first, at most MOST_LISTED. `complete`: everything could be read."""

    now_s: int
    files: tuple[BackupFile, ...]
    complete: bool


def checked_pattern(pattern: str) -> str:
    """Raises ValueError."""
    if not pattern.startswith("/"):
        raise ValueError(f"a pattern of files is an absolute path, not {pattern!r}")
    parts = pattern.split("/")[1:]
    if any(part in ("", ".", "..") for part in parts) or any(character < " " for character in pattern):
        raise ValueError(f"a pattern has no empty parts, `.`, `..` or control characters: {pattern!r}")
    if parts[-1] == "**":
        raise ValueError("`**` stands for directories; say which files, as in /backups/**/*.dump")
    try:
        re.compile(_regex(pattern))
    except re.error as exc:
        raise ValueError(f"not a pattern of files: {pattern!r}: {exc}") from exc
    return pattern


def listing_command(pattern: str, *, min_bytes: int, ignore: Sequence[str]) -> list[str]:
    """argv."""
    parts = PurePosixPath(pattern).parts
    # The last part is looked for even where it has no wildcards: a file that is not there is no error then.
    fixed = next((n for n, part in enumerate(parts[:-1]) if _WILD.search(part)), len(parts) - 1)
    root = str(PurePosixPath(*parts[:fixed]))
    find = ["-L", root]
    if "**" not in parts:
        find += ["-maxdepth", str(len(parts) - fixed)]
    find += ["-regextype", "posix-extended", "-type", "f", "-regex", _regex(pattern)]
    for name in ignore:
        if not (name.startswith(".") and parts[-1].startswith(".")):
            find += ["!", "-name", name]
    if min_bytes > 0:
        find += ["-size", f"+{min_bytes - 1}c"]
    return ["sh", "-c", _SCRIPT, "sh", *find]


def read_listing(text: str) -> Listing:
    """Raises ListingError."""
    first, _, rest = text.partition("\n")
    if not first.isdigit():
        raise ListingError(f"no listing of files: {one_line(text, 100)!r}")
    files: list[BackupFile] = []
    complete: bool | None = None
    for record in rest.split("\0"):
        changed, _, more = record.partition(" ")
        size, _, path = more.partition(" ")
        if changed == _STATUS_MARK and path == "status":
            complete = size == "0"
        elif path.startswith("/") and size.isdigit():
            files.append(BackupFile(one_line(path, 500), int(size), _seconds(changed)))
    if complete is None:
        raise ListingError("find has not run to its end")
    return Listing(int(first), tuple(files), complete)


def _seconds(text: str) -> int:
    try:
        return int(Decimal(text))
    except (InvalidOperation, ValueError) as exc:
        raise ListingError(f"no time of a file: {one_line(text, 40)!r}") from exc


def _regex(pattern: str) -> str:
    """Of the whole path, for find (POSIX, extended). `*` and `?` stay within a part."""
    regex = ""
    for part in pattern.split("/")[1:]:
        if regex.endswith("([^/]+/)*"):
            regex += _part(part) if part != "**" else ""
        else:
            regex += "/([^/]+/)*" if part == "**" else f"/{_part(part)}"
    return regex


def _part(part: str) -> str:
    regex, at = "", 0
    while at < len(part):
        character = part[at]
        closing = part.find("]", at + 2) if character == "[" else -1
        if closing > 0:
            inside = part[at + 1 : closing]
            regex += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
            at = closing
        elif character == "*":
            regex += "[^/]*"
        elif character == "?":
            regex += "[^/]"
        else:
            regex += re.sub(r"([.^$+(){}|\[\]\\])", r"\\\1", character)
        at += 1
    return regex
