"""pydantic's errors → findings at the place in the file where each belongs, in words for a person."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from config.document import Document, Path
from config.endpoints import Endpoint, kind_of
from config.engines import class_of
from config.findings import Finding, did_you_mean, one_of
from config.secrets import WHY_NOT_INLINE, is_secret_key
from config.services import Service

_SHOWN_LENGTH = 60
# Kinds of error whose value is shown: what was written is the point of the message.
_SHOWN = re.compile(r"enum|literal|pattern|int_|float_|bool_|greater|less|date|union_tag")
_PLACES_OF_SECRETS = frozenset({"roles", "labels", "command", "url", "password", "key"})


def findings_of(
    error: ValidationError,
    document: Document,
    file: str = "",
    model: type[BaseModel] | None = None,
    at: Path = (),
) -> list[Finding]:
    """One finding for each error, at its position in the document.

    file: the name in messages; the document's, if empty. model: what was validated against; with it, unknown
    keys get the list of known ones, and values the description of their field. at: where what was validated
    stands in the document.
    """
    found = [_finding(detail, document, model, at) for detail in error.errors(include_url=False)]
    if not file:
        return found
    return [Finding(f.severity, file, f.line, f.col, f.what, f.why, f.allowed) for f in found]


def _finding(
    detail: Mapping[str, Any], document: Document, model: type[BaseModel] | None, at: Path
) -> Finding:
    kind: str = detail["type"]
    inner: Path = tuple(detail["loc"])
    at_key = bool(inner) and inner[-1] == "[key]"
    if at_key:
        inner = inner[:-1]
    path = at + inner
    place = dotted(path)
    written = document.at(at)
    description = _description(model, inner, written)
    if kind == "missing":
        parent = dotted(path[:-1])
        why = f"it has no default; {path[-1]}: {description}" if description else "it has no default"
        return document.error(path, f"key {path[-1]!r} is missing in {parent}", why)
    if kind == "extra_forbidden":
        return unknown_key(document, path, [] if model is None else _keys(model, inner[:-1], written))
    if at_key:
        return document.error(
            path, f"{str(path[-1])!r} can't be a name in {dotted(path[:-1])}",
            "", "a letter or digit, then letters, digits, '.', '_' or '-', up to 63 in all", key=True,
        )  # fmt: skip
    if kind in ("enum", "literal_error"):
        return _not_one_of(document, path, detail)
    what = _what(kind, detail, place)
    shown = _shown(path, detail) if _SHOWN.search(kind) else ""
    allowed = description if "pattern" in kind else ""
    return document.error(path, what + shown, "", allowed, key=kind == "too_short")


def unknown_key(document: Document, path: Path, known: Sequence[str]) -> Finding:
    """`path` ends with the key that is not known; its value is never repeated."""
    key = str(path[-1])
    what = f"unknown key {key!r} in {dotted(path[:-1])}"
    if is_secret_key(key):
        return document.error(path, what, WHY_NOT_INLINE, one_of(known) if known else "", key=True)
    return document.error(path, what, did_you_mean(key, known), one_of(known) if known else "", key=True)


def dotted(path: Path) -> str:
    """`services.orders.members[0]` for a person; `the file` for the root."""
    text = "".join(f"[{e}]" if isinstance(e, int) else f".{e}" for e in path)
    return text.removeprefix(".") or "the file"


def _not_one_of(document: Document, path: Path, detail: Mapping[str, Any]) -> Finding:
    allowed = [a.strip("'") for a in re.split(r", | or ", str(detail["ctx"]["expected"]))]
    written = detail["input"]
    near = did_you_mean(written, allowed) if isinstance(written, str) else ""
    what = f"{dotted(path)} has a value that is not allowed" + _shown(path, detail)
    return document.error(path, what, near, ", ".join(allowed))


def _what(kind: str, detail: Mapping[str, Any], place: str) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    match kind:
        case "value_error":
            return f"{place}: {str(detail['msg']).removeprefix('Value error, ')}"
        case "model_type" | "dict_type" | "mapping_type" | "model_attributes_type":
            return f"{place} must be a mapping of keys and values; it is {_kind_of(detail['input'])}"
        case "tuple_type" | "list_type":
            return f"{place} must be a list; it is {_kind_of(detail['input'])}"
        case "string_type" | "path_type":
            return f"{place} must be text; it is {_kind_of(detail['input'])}: write it in quotes"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{place} must be a whole number without quotes; it is {_kind_of(detail['input'])}"
        case "bool_type" | "bool_parsing":
            return f"{place} must be true or false"
        case "string_pattern_mismatch":
            return f"{place} is not of the form that is needed"
        case "greater_than_equal":
            return f"{place} must be {context['ge']} or more"
        case "less_than_equal":
            return f"{place} must be {context['le']} or less"
        case "too_short":
            return (
                f"{place} needs at least {context['min_length']} entries; it has {context['actual_length']}"
            )
        case "string_too_short":
            return f"{place} must not be empty"
    return f"{place}: {detail['msg']}"


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "empty"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
    return "text"


def _shown(path: Path, detail: Mapping[str, Any]) -> str:
    """`: 'value'` where showing it can't give a secret away."""
    value = detail["input"]
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or any(isinstance(e, str) and (e in _PLACES_OF_SECRETS or is_secret_key(e)) for e in path)
    ):
        return ""
    text = repr(value) if isinstance(value, str) else str(value)
    return f": {text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + '…'}"


def _description(model: type[BaseModel] | None, path: Path, written: Any) -> str:
    field = None if model is None else _field_at(model, path, written)
    return (field.description or "").rstrip(".") if field else ""


def _keys(model: type[BaseModel], path: Path, written: Any) -> list[str]:
    """The keys that may stand in the mapping at `path`, as they are written in the file."""
    keys: dict[str, None] = {}
    for annotation in _follow(model, path, written):
        if _is_model(annotation):
            keys.update(dict.fromkeys(public_fields(annotation)))
    return list(keys)


def public_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Key in the file → field; without those that are taken from the key around them."""
    return {field.alias or name: field for name, field in model.model_fields.items() if not field.exclude}


def _field_at(model: type[BaseModel], path: Path, written: Any) -> FieldInfo | None:
    if not path or not isinstance(path[-1], str):
        return None
    for annotation in _follow(model, path[:-1], written):
        if _is_model(annotation) and (field := public_fields(annotation).get(path[-1])):
            return field
    return None


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _follow(annotation: Any, path: Path, written: Any) -> list[Any]:
    """Every type that the value at `path` below `annotation` may have. written: what stands there in the
    file; the classes of services and endpoints are chosen by what they say that they are."""
    present = list(_alternatives(annotation))
    for element in path:
        written = written.get(element) if isinstance(written, dict) else None
        found = [a for p in present for child in _children(p, element) for a in _alternatives(child)]
        present = [_chosen(a, written) for a in found]
    return present


def _chosen(annotation: Any, written: Any) -> Any:
    """The class of what says itself what it is."""
    if annotation is Endpoint:
        return kind_of(written)
    return class_of(written) if annotation is Service else annotation


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _alternatives(argument)
    elif origin is not Literal:
        yield annotation


def _children(annotation: Any, element: str | int) -> Iterator[Any]:
    if _is_model(annotation):
        field = public_fields(annotation).get(str(element))
        if field is not None:
            yield field.annotation
        elif annotation.__name__ == element:  # pydantic names the alternative of a union in the path
            yield annotation
        return
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        yield arguments[1]
    elif isinstance(origin, type) and issubclass(origin, Sequence) and arguments:
        yield arguments[0]
