"""The estate's JSON Schema, for editors and other programs."""

from __future__ import annotations

from typing import Any

from config.durations import format_duration
from config.schema import Estate

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def estate_json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the file as people write it: names are keys, durations are text.

    It can't say everything that `check` finds (references, duplicates, what fits together).
    """
    schema = Estate.model_json_schema(by_alias=True, mode="validation")
    _as_written(schema)
    return {"$schema": _DIALECT, **schema, "title": "Estate of bcm-failover"}


def _as_written(schema: Any) -> None:
    """Defaults of durations as text, and no titles: they only repeat the keys."""
    if isinstance(schema, list):
        for item in schema:
            _as_written(item)
    if not isinstance(schema, dict):
        return
    for properties in (schema.get("properties"), schema.get("$defs")):
        for item in properties.values() if isinstance(properties, dict) else ():
            if isinstance(item, dict):
                item.pop("title", None)
                if "pattern" in item and isinstance(item.get("default"), float):
                    item["default"] = format_duration(item["default"])
    _defaults_of_parts(schema)
    for item in schema.values():
        _as_written(item)


def _defaults_of_parts(schema: dict[str, Any]) -> None:
    """The default of a part is what its own keys default to; writing it out would repeat it in seconds."""
    for item in (schema.get("properties") or {}).values():
        if isinstance(item, dict) and isinstance(item.get("default"), dict):
            item["default"] = {}
