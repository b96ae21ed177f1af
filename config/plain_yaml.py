"""Reads fast the part of YAML that estates are mostly written in; anything else is left to the strict reader.

Ten thousand services are thirteen megabytes and half a million values: libyaml's events and nodes, and what
is made of them, take five seconds. This takes one. It accepts a file only where it is sure to give what the
strict reader gives without a finding: block mappings with plain keys, lists, values on one line. At the first
thing beyond that it gives up, and the strict reader begins anew. So it never reports anything, and what a
scalar means is asked of the strict reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from config.document import Marks, Path
from config.secrets import is_secret_key

# What an unquoted scalar is: (value, True), or (None, False) where the strict reader would have a finding.
Meaning = Callable[[str], tuple[Any, bool]]
# Line and column of the key (an item of a list: of the value), then of the value; each from 1.
_Place = tuple[int, int, int, int]
# Of a line: indent, `- ` if it begins so, key or "", the rest, and where that begins, from 0.
_Line = tuple[int, str | None, str, str, int]

_MAX_DEPTH: Final = 16  # well below what the strict reader allows
_KEY: Final = r"([A-Za-z_][A-Za-z0-9_./-]{0,127}):"
_ENTRY: Final = re.compile(rf"( *)(- +)?(?:{_KEY}(?: +|$))?(.*)")
# Texts in which no character means anything to YAML; a colon does before a blank, a hash after one.
_FIRST: Final = r"(?:[\w./+]|-(?=[\w.-]))"
_PLAIN: Final = re.compile(rf"{_FIRST}(?:[^:#]|:(?=[\w/.]))*")
_FLOW_PLAIN: Final = re.compile(rf"{_FIRST}(?:[\w./@%+=();~ -]|:(?=[\w/.]))*")
_FLOW_KEY: Final = re.compile(rf"{_KEY} +")
_QUOTED: Final = re.compile(r"""'([^'\\]*)'|"([^"\\]*)\"""")
_NOTHING_MORE: Final = re.compile(r" *(?: #.*)?$")
# Characters that end a line in YAML beside the usual one, or mark the order of bytes.
_OTHER_BREAKS: Final = re.compile("[\t\r\x85\u2028\u2029\ufeff]")


class _GiveUp(Exception):  # noqa: N818 - control flow
    pass


class PlainMarks(Mapping[Path, Marks]):
    """Where each value stands; made when the first is asked for: a file without a finding needs none."""

    def __init__(self, data: Any, places: list[_Place]) -> None:
        self._data, self._places = data, places
        self._made: dict[Path, Marks] | None = None

    def _all(self) -> dict[Path, Marks]:
        if self._made is None:
            marks = (Marks((line, col), (v_line, v_col)) for line, col, v_line, v_col in self._places)
            self._made = dict(zip(_paths(self._data, ()), marks, strict=True))
        return self._made

    def __getitem__(self, path: Path) -> Marks:
        return self._all()[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._places)


def _paths(value: Any, path: Path) -> Iterator[Path]:
    """In the order in which they stand in the file."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def read_plain(text: str, meaning: Meaning) -> tuple[dict[str, Any], PlainMarks] | None:
    """Data and marks as the strict reader has them; None: it has to read the file."""
    if _OTHER_BREAKS.search(text):
        return None
    reader = _PlainReader(meaning)
    try:
        reader.read(text)
    except _GiveUp:
        return None
    return (reader.data, PlainMarks(reader.data, reader.places)) if reader.data else None


def _parts(line: str) -> _Line:
    found = _ENTRY.match(line)
    assert found is not None  # noqa: S101 - each of its parts may be empty
    blanks, dash, key, rest = found.groups()
    return len(blanks), dash, key or "", rest, found.start(4)


class _PlainReader:
    """A stack of open containers; `_open` is the place in `places` of a key whose value has not come yet."""

    def __init__(self, meaning: Meaning) -> None:
        self._meaning = meaning
        self._known: dict[str, Any] = {}
        self._keys: dict[str, bool] = {}  # key → is it one of a secret
        self.data: dict[str, Any] = {}
        self.places: list[_Place] = []
        # (indent, container, below the key of a secret)
        self._stack: list[tuple[int, Any, bool]] = [(0, self.data, False)]
        self._open: int | None = None
        self._open_key = ""
        self._line = 0

    def read(self, text: str) -> None:
        known, keys, stack, places = self._known, self._keys, self._stack, self.places
        seen: dict[str, _Line] = {}  # most lines stand in many places
        for line in text.split("\n"):
            self._line += 1
            parts = seen.get(line)
            if parts is None:
                parts = seen[line] = _parts(line)
            indent, dash, key, rest, at = parts
            level, into, secret = stack[-1]
            if (
                rest in known and dash is None and self._open is None and keys.get(key) is False
                and level == indent and not secret and type(into) is dict and key not in into
            ):  # fmt: skip
                # Most lines are like this: as `_entry` does it, without the way there.
                into[key] = known[rest]
                places.append((self._line, level + 1, self._line, at + 1))
                continue
            if dash is not None:
                self._item(indent, dash, key == "")
            if key:
                self._entry(indent + len(dash or ""), key, rest, at)
            elif dash is not None:
                self._scalar_item(rest, at)
            elif rest and rest[0] != "#" and not (line == "---" and not places):
                raise _GiveUp

    # --- lines

    def _entry(self, indent: int, key: str, rest: str, at: int) -> None:
        """`key: rest`, or `key:` and what follows on further lines."""
        stack = self._stack
        if not self.places:
            self.places.append((self._line, indent + 1, self._line, indent + 1))
            stack[0] = (indent, self.data, False)
        if self._open is not None:
            self._begin(indent, {})
        while stack[-1][0] > indent or (stack[-1][0] == indent and type(stack[-1][1]) is list):
            stack.pop()
            if not stack:
                raise _GiveUp
        level, into, secret = stack[-1]
        if level != indent or key in into:
            raise _GiveUp
        own = self._keys.get(key)
        if own is None:
            own = self._key(key)
        if not rest or rest[0] == "#":
            into[key] = None
            end = indent + len(key) + 2
            self._open, self._open_key = len(self.places), key
            self.places.append((self._line, indent + 1, self._line, end))
            return
        self.places.append((self._line, indent + 1, self._line, at + 1))
        into[key] = self._value(rest, at, secret or own)

    def _item(self, indent: int, dash: str, scalar: bool) -> None:
        """`- `: the list that it belongs to is open then, and of `- key: value` the mapping too."""
        stack = self._stack
        if self._open is not None:
            self._begin(indent, [])
        while stack[-1][0] > indent:
            stack.pop()
            if not stack:
                raise _GiveUp
        level, into, secret = stack[-1]
        if level != indent or type(into) is not list:
            raise _GiveUp
        if not scalar:
            below: dict[str, Any] = {}
            into.append(below)
            col = indent + len(dash)
            self._push(col, below, secret)
            self.places.append((self._line, col + 1, self._line, col + 1))

    def _scalar_item(self, rest: str, at: int) -> None:
        _level, into, secret = self._stack[-1]
        if not rest or rest[0] == "#":
            raise _GiveUp
        self.places.append((self._line, at + 1, self._line, at + 1))
        into.append(self._value(rest, at, secret))

    def _begin(self, indent: int, container: Any) -> None:
        """What stands below `key:`, if this line is below it; else its value is nothing."""
        place, self._open = self._open, None
        level, into, secret = self._stack[-1]
        if indent < level or (indent == level and type(container) is dict):
            return
        assert place is not None  # noqa: S101 - see the callers
        into[self._open_key] = container
        self._push(indent, container, secret or self._keys[self._open_key])
        line, col, _, _ = self.places[place]
        self.places[place] = (line, col, self._line, indent + 1)

    def _push(self, indent: int, container: Any, secret: bool) -> None:
        if len(self._stack) >= _MAX_DEPTH:
            raise _GiveUp
        self._stack.append((indent, container, secret))

    def _key(self, key: str) -> bool:
        if self._meaning(key) != (key, True):
            raise _GiveUp
        self._keys[key] = is_secret_key(key)
        return self._keys[key]

    # --- values on one line

    def _value(self, rest: str, at: int, secret: bool) -> Any:
        """at: where it begins in the line, from 0."""
        if not secret and rest in self._known:
            return self._known[rest]
        first = rest[0]
        if first in "[{":
            value, end = self._flow(rest, 0, at, secret, 0)
        elif first in "'\"":
            value, end = self._quoted(rest, 0)
        else:
            text = rest.partition(" #")[0].rstrip(" ")
            if not _PLAIN.fullmatch(text):
                raise _GiveUp
            return self._scalar(text, secret)
        if not _NOTHING_MORE.match(rest, end):
            raise _GiveUp
        return value

    def _scalar(self, text: str, secret: bool) -> Any:
        value, certain = self._meaning(text)
        if secret:  # may be a secret: not looked at
            return None if certain and value is None else text
        if not certain:
            raise _GiveUp
        self._known[text] = value
        return value

    def _quoted(self, rest: str, start: int) -> tuple[str, int]:
        found = _QUOTED.match(rest, start)
        if found is None:
            raise _GiveUp
        return found[1] if found[1] is not None else found[2], found.end()

    def _flow(self, rest: str, start: int, at: int, secret: bool, depth: int) -> tuple[Any, int]:
        """`[…]` or `{…}` at `start` → what it holds, and where it ends."""
        if depth + len(self._stack) >= _MAX_DEPTH:
            raise _GiveUp
        close = "]" if rest[start] == "[" else "}"
        into: Any = [] if close == "]" else {}
        here, more = _skip(rest, start + 1), True
        while rest[here : here + 1] != close:
            if not more:
                raise _GiveUp
            below, key, begins = secret, "", here
            if close == "}":
                key, here, own = self._flow_key(rest, here, into)
                below = secret or own
            self.places.append((self._line, at + begins + 1, self._line, at + here + 1))
            value, here = self._flow_value(rest, here, at, below, depth)
            if close == "}":
                into[key] = value
            else:
                into.append(value)
            here = _skip(rest, here)
            more = rest[here : here + 1] == ","
            here = _skip(rest, here + 1) if more else here
        return into, here + 1

    def _flow_key(self, rest: str, here: int, into: dict[str, Any]) -> tuple[str, int, bool]:
        found = _FLOW_KEY.match(rest, here)
        if found is None or found[1] in into:
            raise _GiveUp
        own = self._keys.get(found[1])
        return found[1], found.end(), self._key(found[1]) if own is None else own

    def _flow_value(self, rest: str, here: int, at: int, secret: bool, depth: int) -> tuple[Any, int]:
        first = rest[here : here + 1]
        if first and first in "[{":
            return self._flow(rest, here, at, secret, depth + 1)
        if first and first in "'\"":
            return self._quoted(rest, here)
        found = _FLOW_PLAIN.match(rest, here)
        if found is None:
            raise _GiveUp
        return self._scalar(found[0].rstrip(" "), secret), found.end()


def _skip(rest: str, here: int) -> int:
    while rest[here : here + 1] == " ":
        here += 1
    return here
