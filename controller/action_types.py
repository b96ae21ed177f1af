"""What an action is and what it takes, from its class and its options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.secrets import SecretRef
from controller.probe_types import option
from runbooks.actions.base import Action
from runbooks.registry import GROUP, action_names, action_type

Json = dict[str, Any]
Holds = Literal["yes", "no", "option"]
"""option: an option of the step decides."""

_PARTS: Final = ("Output: ", "Undo: ")


def describe_all() -> list[Json]:
    """[{action, summary, changes, class, from}], by name. Raises RunbookError for one that can't be
    loaded."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    return [
        {
            **_head(action_type(name)),
            "class": points[name].value if name in points else "",
            "from": point.dist.name if (point := points.get(name)) is not None and point.dist else "",
        }
        for name in action_names()
    ]


def describe(name: str) -> Json:
    """{action, summary, changes, about, output, undo_text, outputs, undo, effect, repeatable, per_process,
    fences, promotes, needs_primary, options: [{name, type, default, required, meaning}]}. Raises
    RunbookError.
    """
    kind = action_type(name)
    told = _told(kind)
    return {
        **_head(kind),
        "about": told["about"],
        "output": told["Output: "],
        "undo_text": told["Undo: "],
        "outputs": None if kind.outputs is None else list(kind.outputs),
        "undo": _holds(kind, "reversible", kind.undo is not Action.undo),
        "effect": _holds(kind, "observable", kind.check is not Action.check),
        "repeatable": _holds(kind, "repeatable", kind.idempotent),
        "per_process": kind.per_process,
        "fences": _holds(kind, "fencing", kind.fences),
        "promotes": kind.promotes,
        "needs_primary": kind.needs_primary,
        "options": list(_options(kind.Options)),
    }


def _head(kind: type[Action]) -> Json:
    return {
        "action": kind.name,
        "summary": _summary(kind),
        "changes": _holds(kind, "changes", kind.changing),
    }


def _holds(kind: type[Action], asked: str, otherwise: bool) -> Holds:
    """Is it the class's word, or do the options of a step decide?"""
    if getattr(kind, asked).__func__ is not getattr(Action, asked).__func__:
        return "option"
    return "yes" if otherwise else "no"


def _summary(kind: type[Action]) -> str:
    """One sentence: where its docstring or its module's begins with its name, what follows that."""
    for text in (inspect.getdoc(kind) or "", _module_text(kind)):
        first = " ".join(text.partition("\n\n")[0].split())
        if first.startswith(f"{kind.name}: "):
            sentence = first.removeprefix(f"{kind.name}: ")
            is_name = "_" in sentence.partition(" ")[0]
            return sentence if is_name else sentence[:1].upper() + sentence[1:]
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def _told(kind: type[Action]) -> dict[str, str]:
    """Of the module and of the class, without the summary; what begins with `Output: ` and `Undo: ` apart,
    of a base class where the class itself does not say it."""
    found = dict.fromkeys(("about", *_PARTS), "")
    about: list[str] = []
    summary = _summary(kind)
    for paragraph in (*_paragraphs(_own_module_text(kind)), *_paragraphs(kind.__doc__)):
        text, parts = _apart(paragraph.removeprefix(f"{kind.name}: "))
        found |= parts
        if text and text.casefold() != summary.casefold() and text not in about:
            about.append(text)
    for base in kind.__mro__[1 : kind.__mro__.index(Action)]:
        for paragraph in _paragraphs(base.__doc__):
            found |= {mark: text for mark, text in _apart(paragraph)[1].items() if not found[mark]}
    found["about"] = "\n\n".join(about)
    return found


def _apart(paragraph: str) -> tuple[str, dict[str, str]]:
    """(what is before the first part, the parts by their marks)."""
    pieces = re.split(rf"(?:^|(?<= ))({'|'.join(_PARTS)})", paragraph)
    return pieces[0].strip(), {m: text.strip() for m, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _own_module_text(kind: type[Action]) -> str:
    """The module's, if it is about this action: others may share the module."""
    text = _module_text(kind)
    return text if text.startswith(f"{kind.name}: ") else ""


def _module_text(kind: type[Action]) -> str:
    return inspect.getdoc(inspect.getmodule(kind)) or ""


def _paragraphs(text: str | None) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        if paragraph.strip():
            yield " ".join(paragraph.split())


def _options(model: type[BaseModel], prefix: str = "") -> Iterator[Json]:
    """Those that must be given first; those of a part after it, as `effect.path`."""
    texts = _meanings(model)
    fields = model.model_fields
    for key in sorted(fields, key=lambda key: not fields[key].is_required()):
        found = option(f"{prefix}{key}", fields[key])
        found["meaning"] = found["meaning"] or texts.get(key, "")
        yield found
        part = _part(fields[key])
        if part is not None:
            yield from _options(part, f"{prefix}{key}.")


def _part(field: FieldInfo) -> type[BaseModel] | None:
    """The model of an option that has options of its own."""
    for candidate in (field.annotation, *get_args(field.annotation)):
        if (
            isinstance(candidate, type)
            and issubclass(candidate, BaseModel)
            and not issubclass(candidate, SecretRef)
        ):
            return candidate
    return None


def _meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """From docstrings that tell of options as `member: whom. must: what it needs.`"""
    names = "|".join(map(re.escape, model.model_fields))
    if not names:
        return {}
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, BaseModel)) or base is BaseModel:
            continue
        text = " ".join((base.__doc__ or "").split())
        parts = re.split(rf"(?:^|(?<=[.:;] )|(?<=, ))((?:{names})(?:, (?:{names}))*): ", text)
        for keys, meaning in zip(parts[1::2], parts[2::2], strict=True):
            sentence = meaning.strip().rstrip(".;,")
            for key in keys.split(", "):
                found[key] = sentence[:1].upper() + sentence[1:] + "."
    return found
