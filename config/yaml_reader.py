"""YAML text → Document. Stricter than PyYAML, which takes duplicate keys silently and reads `no` as False.

Only plain data: no tags, no dates, no octal or sexagesimal numbers; a file of a size and depth that a person
could have written. Aliases and merge keys are allowed as far as they don't multiply.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from config.document import Document, Mark, Marks, Path
from config.durations import FileFloat
from config.findings import Finding, Severity, in_order
from config.plain_yaml import read_plain
from config.secrets import is_secret_key

MAX_BYTES = 40_000_000  # ten thousand services are about thirteen megabytes
MAX_DEPTH = 32  # the estate needs nine; recursion stays far from the interpreter's limit
MAX_ALIASES = 500
# After aliases are followed: what a "billion laughs" exceeds. A large file may hold more without any: as many
# as could stand in it, each in two characters.
MAX_VALUES = 200_000
_MAX_DIGITS = 18  # fits 64 bits

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_RESOLVER: Any = yaml.resolver.Resolver()
_TAG = "tag:yaml.org,2002:"
_READ_AS_BOOL = frozenset({"yes", "no", "on", "off", "y", "n"})
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What stands in quotes in a message of the parser comes from the file, and may be a secret (`password: *x`).
_QUOTED = re.compile(r"""\s*(['"])[^'"\s]{2,}\1""")


class _Stop(Exception):  # noqa: N818 - control flow: reading can't go on
    def __init__(self, mark: Mark, what: str, why: str = "") -> None:
        super().__init__(what)
        self.mark, self.what, self.why = mark, what, why


def read_yaml(text: str, file: str, digest: str = "") -> Document:
    """Never raises: what is wrong is in the document's findings."""
    if len(text) <= MAX_BYTES and not _NOT_TEXT.search(text):
        plain = read_plain(text, _meaning)
        if plain is not None:
            return Document(file, *plain, digest=digest)
    return read_strictly(text, file, digest)


def read_strictly(text: str, file: str, digest: str = "") -> Document:
    """As `read_yaml`: all of it by libyaml."""
    reader = _Reader(file, max(MAX_VALUES, len(text) // 2))
    try:
        _check_characters(text)
        _check_limits(text)
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise _Stop((1, 1), "the file is empty", "nothing is declared")
        data = reader.value(node, (), 0)
    except _Stop as stop:
        reader.report(stop.mark, stop.what, stop.why)
        data = None
    except yaml.YAMLError as error:
        reader.report(*_syntax(error))
        data = None
    return Document(file, data, reader.marks, in_order(reader.findings), digest)


def _check_characters(text: str) -> None:
    found = _NOT_TEXT.search(text)
    if found:
        before = text[: found.start()]
        mark = (before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        raise _Stop(mark, f"character U+{ord(found[0]):04X} is not allowed", "YAML is printable text")


def _check_limits(text: str) -> None:
    """Over the events, which come one by one: composing a tree that is too deep could exhaust the stack."""
    if len(text) > MAX_BYTES:
        raise _Stop((1, 1), f"the file is larger than {MAX_BYTES} bytes", "it is not read at all")
    depth = aliases = 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH:
            raise _Stop(mark, f"nested more than {MAX_DEPTH} deep")
        if aliases > MAX_ALIASES:
            raise _Stop(mark, f"more than {MAX_ALIASES} aliases", "write the values out")


def _syntax(error: yaml.YAMLError) -> tuple[Mark, str, str]:
    mark: Mark = (1, 1)
    problem = "it can't be parsed"
    if isinstance(error, yaml.MarkedYAMLError):
        place = error.problem_mark or error.context_mark
        mark = _mark(place) if place else mark
        problem = _QUOTED.sub("", error.problem or problem)
    if problem.startswith("but found another document"):
        return mark, "a second YAML document begins here", "one file holds one document"
    return mark, f"not valid YAML: {problem}", "check indentation, colons and quotes here and just above"


def _mark(mark: Any) -> Mark:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


def _meaning(text: str) -> tuple[Any, bool]:
    """Of a scalar without quotes: (value, True), or (None, False) where it would be a finding."""
    node = yaml.ScalarNode(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)), text)
    reader = _Reader("")
    value = reader.scalar(node, (1, 1))
    return (None, False) if reader.findings else (value, True)


class _Reader:
    """Builds plain data from nodes and notes where each value stands."""

    def __init__(self, file: str, max_values: int = MAX_VALUES) -> None:
        self.file = file
        self._max_values = max_values
        self.marks: dict[Path, Marks] = {}
        self.findings: list[Finding] = []
        self._values = 0

    def report(self, mark: Mark, what: str, why: str = "", allowed: str = "") -> None:
        self.findings.append(Finding(Severity.ERROR, self.file, *mark, what, why, allowed))

    def value(self, node: Any, path: Path, depth: int, key: Mark | None = None) -> Any:
        mark = _mark(node.start_mark)
        self._count(mark, depth)
        self.marks[path] = Marks(key or mark, mark)
        if isinstance(node, yaml.MappingNode):
            self._plain_tag(node, "map")
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._plain_tag(node, "seq")
            return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        if node.tag != _TAG + "null" and any(isinstance(e, str) and is_secret_key(e) for e in path):
            return node.value  # may be a secret: not looked at, not shown; the schema refuses what is inline
        return self.scalar(node, mark)

    def _count(self, mark: Mark, depth: int) -> None:
        self._values += 1
        if self._values > self._max_values:
            raise _Stop(mark, f"more than {self._max_values} values once its aliases are followed")
        if depth > MAX_DEPTH:
            raise _Stop(mark, f"nested more than {MAX_DEPTH} deep, or an alias within itself")

    def _plain_tag(self, node: Any, expected: str) -> None:
        if node.tag != _TAG + expected:
            self.report(_mark(node.start_mark), "tags are not supported", "the estate is plain data")

    def _mapping(self, node: Any, path: Path, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        own: dict[str, Mark] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                self._merge(value_node, path, depth, data, own)
                continue
            mark = _mark(key_node.start_mark)
            key = self._key(key_node, mark)
            if key is None:
                continue
            if key in own:
                first = f"{own[key][0]}:{own[key][1]}"
                self.report(mark, f"key {key!r} is given twice", f"the first is at {first}", "each key once")
                continue  # the first stays: its values were checked in place
            own[key] = mark
            data[key] = self.value(value_node, (*path, key), depth + 1, mark)
        return data

    def _merge(self, node: Any, path: Path, depth: int, data: dict[str, Any], own: dict[str, Mark]) -> None:
        """`<<: *defaults`: keys of the mapping itself win over merged ones."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else (node,):
            self._count(_mark(source.start_mark), depth)
            if not isinstance(source, yaml.MappingNode):
                self.report(_mark(node.start_mark), "`<<` merges mappings only", "", "an alias of a mapping")
                continue
            scratch = _Reader(self.file, self._max_values)
            scratch._values = self._values
            merged = scratch._mapping(source, path, depth + 1)
            self._values = scratch._values
            self.findings += scratch.findings
            for key, value in merged.items():
                if key not in own and key not in data:
                    data[key] = value
                    below = (*path, key)
                    self.marks.update({p: m for p, m in scratch.marks.items() if p[: len(below)] == below})

    def _key(self, node: Any, mark: Mark) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.report(mark, "a key must be text", "here it is a list or a mapping")
            return None
        if node.tag == _TAG + "null" and not node.value:
            self.report(mark, "a key is missing before the colon")
            return None
        if _is_bool_trap(node):
            self._bool_trap(node, mark)
        elif node.tag != _TAG + "str":
            self.report(mark, f"key {node.value!r} is not text", "", f'"{node.value}", in quotes')
        return str(node.value)

    def _bool_trap(self, node: Any, mark: Mark) -> None:
        truth = "true" if node.value.lower() in ("yes", "on", "y") else "false"
        self.report(
            mark,
            f"{node.value} without quotes is read as {truth} by YAML 1.1",
            "what was meant is not certain",
            f"text in quotes, or {truth}",
        )

    def scalar(self, node: Any, mark: Mark) -> Any:
        text: str = node.value
        if _is_bool_trap(node):
            self._bool_trap(node, mark)
            return text.lower() in ("yes", "on") if node.tag == _TAG + "bool" else text
        match node.tag.removeprefix(_TAG):
            case "str" | "timestamp" | "merge" | "value":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return self._integer(text, mark)
            case "float":
                return self._float(text, mark)
        self.report(mark, "tags are not supported", "the estate is plain data", "text in quotes")
        return text

    def _integer(self, text: str, mark: Mark) -> int | str:
        if _DECIMAL.fullmatch(text) and len(text) <= _MAX_DIGITS:
            return int(text)
        self.report(
            mark,
            f"{text} is read as a number in another base by YAML 1.1",
            "leading zeros, colons, underscores and more than 18 digits are not accepted",
            "a decimal number, or text in quotes",
        )
        return text

    def _float(self, text: str, mark: Mark) -> FileFloat | str:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and "_" not in text:
            return FileFloat(number)
        self.report(
            mark, f"{text} is not a number that can be used here", "", "a decimal number, or text in quotes"
        )
        return text


def _is_bool_trap(node: Any) -> bool:
    return (
        not node.style and node.value.lower() in _READ_AS_BOOL and node.tag in (_TAG + "bool", _TAG + "str")
    )
