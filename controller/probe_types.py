"""What a probe type is and what it takes, from its class and its schema."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from pydantic.fields import FieldInfo

from config.reference_doc import default_text, type_text
from probes.base import Probe
from probes.registry import GROUP, load_probe_type, probe_types

Json = dict[str, Any]


def describe_all() -> list[Json]:
    """[{type, layer, summary, class, from}], by name. Raises UsageError for a type that can't be loaded."""
    origins = {p.name: p.dist.name if p.dist else "" for p in entry_points(group=GROUP)}
    return [
        {**_head(load_probe_type(name)), "class": where, "from": origins.get(name, "")}
        for name, where in probe_types().items()
    ]


def describe(name: str) -> Json:
    """{type, layer, summary, options: [{name, type, default, required, meaning}], facts}.

    Raises UsageError.
    """
    kind = load_probe_type(name)
    options = [option(key, kind.Options.model_fields[key]) for key in _for_a_reader(kind)]
    return {**_head(kind), "about": _module_text(kind), "options": options, "facts": _facts(kind)}


def _for_a_reader(kind: type[Probe]) -> list[str]:
    """Names of the options: those that must be given, then the type's own, then those that it shares."""
    fields, own = kind.Options.model_fields, kind.Options.__annotations__
    return sorted(fields, key=lambda key: (not fields[key].is_required(), key not in own))


def _head(kind: type[Probe]) -> Json:
    return {"type": kind.type, "layer": kind.layer.value, "summary": _module_text(kind).partition("\n\n")[0]}


def _module_text(kind: type[Probe]) -> str:
    """The module's docstring without its "Probe type `x`:"."""
    text = inspect.getdoc(inspect.getmodule(kind)) or ""
    head, _, rest = text.partition(": ")
    return (rest[:1].upper() + rest[1:]) if head.startswith("Probe type") else text


def _facts(kind: type[Probe]) -> str:
    return inspect.getdoc(kind) or ""


def option(key: str, field: FieldInfo) -> Json:
    """{name, type, default, required, meaning} of one field."""
    return {
        "name": key,
        "type": type_text(field),
        "default": default_text(field),
        "required": field.is_required(),
        "meaning": field.description or "",
    }
