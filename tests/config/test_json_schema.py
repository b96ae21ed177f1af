"""The JSON Schema describes the file as people write it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from config.json_schema import estate_json_schema
from config.starter import example_estates

SCHEMA = estate_json_schema()


def errors(schema: dict[str, Any], value: Any, place: str = "") -> Iterator[str]:
    """The part of JSON Schema that the estate's uses."""
    if "$ref" in schema:
        yield from errors(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], value, place)
    if "anyOf" in schema and all(list(errors(s, value, place)) for s in schema["anyOf"]):
        yield f"{place}: none of the alternatives"
    types = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, types[schema["type"]]):
        yield f"{place}: not {schema['type']}"
        return
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{place}: pattern"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{place}: enum"
    if "const" in schema and value != schema["const"]:
        yield f"{place}: const"
    if isinstance(value, list):
        for item in value:
            yield from errors(schema.get("items", {}), item, place)
    if isinstance(value, dict):
        yield from (f"{place}: {key} missing" for key in schema.get("required", []) if key not in value)
        for key, item in value.items():
            known = schema.get("properties", {}).get(key)
            for pattern, of_name in schema.get("patternProperties", {}).items():
                known = known or (of_name if re.search(pattern, key) else None)
            known = known if known is not None else schema.get("additionalProperties", True)
            if known is False:
                yield f"{place}: {key} unknown"
            elif isinstance(known, dict):
                yield from errors(known, item, f"{place}.{key}")


@pytest.mark.parametrize("name", example_estates())
def test_the_examples_conform(name: str) -> None:
    assert list(errors(SCHEMA, yaml.safe_load(example_estates()[name]))) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("configVersion", 2),
        ("config_version", 1),
        ("nodes.db1.name", "db1"),
        ("sites.main.name", "main"),
        ("people.li.id", "li"),
        ("services.orders.members.pg1.name", "pg1"),
        ("services.orders.objectives.rto", 30),
        ("services.orders.objectives.rto", "30"),
        ("services.orders.mode", "always"),
        ("services.orders.postgresql.roles.monitor.password", "hunter2"),
        ("services.orders.members.pg1.port", "5432"),
    ],
)
def test_what_check_refuses_the_schema_refuses(path: str, value: object) -> None:
    data = yaml.safe_load(example_estates()["starter.yaml"])
    parent = data
    *above, last = path.split(".")
    for key in above:
        parent = parent[key]
    parent[last] = value
    assert list(errors(SCHEMA, data))


def test_it_is_plain_json_of_its_dialect_with_durations_as_text() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    rto = SCHEMA["$defs"]["Objectives"]["properties"]["rto"]
    assert (rto["type"], rto["default"]) == ("string", "1m")
    assert SCHEMA["$defs"]["PostgresqlService"]["properties"]["objectives"]["default"] == {}
    assert "name" not in SCHEMA["$defs"]["Node"]["properties"]
    assert "name" in SCHEMA["$defs"]["Person"]["properties"]
