"""The values that a runbook and its journal hold: JSON without floats, and the types of variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from config.schema import Service


class VarType(StrEnum):
    """`member` and `members` name members of the service that the runbook runs for."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    LIST = "list"
    MAPPING = "mapping"
    MEMBER = "member"
    MEMBERS = "members"


def unjournalable(value: object, path: str = "$") -> str | None:
    """Why a value can't be journaled and where, or None. Floats are refused: their text differs between
    languages, and the journal's hash must not."""
    if value is None or isinstance(value, str | bool | int):
        return None
    if isinstance(value, float):
        return f"{path} is a decimal number; write an integer with its unit, or a duration such as 500ms"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"{path} has the key {key!r}, which is no text"
            found = unjournalable(item, f"{path}.{key}")
            if found:
                return found
        return None
    if isinstance(value, list | tuple):
        return next((f for i, v in enumerate(value) if (f := unjournalable(v, f"{path}[{i}]"))), None)
    return f"{path} is a {type(value).__name__}; allowed: text, integer, true, false, null, list, mapping"


def refuse_unjournalable(value: object, path: str) -> None:
    """Raises ValueError."""
    found = unjournalable(value, path)
    if found:
        raise ValueError(found)


_CHECKS: Final[Mapping[VarType, Callable[[object], bool]]] = {
    VarType.STRING: lambda v: isinstance(v, str),
    VarType.INTEGER: lambda v: isinstance(v, int) and not isinstance(v, bool),
    VarType.BOOLEAN: lambda v: isinstance(v, bool),
    VarType.LIST: lambda v: isinstance(v, list | tuple),
    VarType.MAPPING: lambda v: isinstance(v, Mapping),
    VarType.MEMBER: lambda v: isinstance(v, str),
    VarType.MEMBERS: lambda v: isinstance(v, list | tuple) and all(isinstance(m, str) for m in v),
}


def type_problem(value: object, type_: VarType, service: Service | None = None) -> str | None:
    """Why a value is not of a variable's type, or None. Without a service members are not looked up."""
    if not _CHECKS[type_](value):
        return f"is no {type_.value}: {value!r}"
    found = unjournalable(value, "its value")
    if found or service is None or type_ not in (VarType.MEMBER, VarType.MEMBERS):
        return found
    names = [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]
    unknown = [n for n in names if n not in service.members]
    if unknown:
        return (
            f"names {', '.join(unknown)}, no member of {service.name}; "
            f"its members are {', '.join(service.members)}"
        )
    return None
