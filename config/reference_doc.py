"""docs/configuration.md, generated from the schema: every key with its type, default and meaning."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.checks import EXPECTED_RUNBOOK_S
from config.durations import format_duration, parse_duration_s
from config.endpoints import KINDS, Endpoint
from config.engines import SERVICES
from config.schema import Estate
from config.secrets import SecretRef
from config.services import Service
from config.starter import starter_estate
from config.validation import public_fields
from model.health import PROFILES

_PLAIN: Final[Mapping[Any, str]] = {
    str: "text",
    int: "number",
    float: "number",
    Decimal: "number",
    bool: "true, false",
    Path: "absolute path",
    Any: "value",
}

_HEAD = """\
# Configuration

The estate is one YAML file. `bcm-failover init` writes a commented one, `bcm-failover check FILE` finds
what is wrong in it, `bcm-failover schema` prints its JSON Schema for editors. This page is generated from
the schema.

## Rules of the file

- `check` reports every problem at once as `file:line:col: error|warning: what; why; allowed: …`. Exit code
  1 if there is an error, 0 if there are only warnings. An estate with an error is never used: at a reload
  (SIGHUP) the daemon keeps the one it has and shows the error.
- Unknown keys and keys given twice are errors.
- `yes`, `no`, `on`, `off`, `y`, `n` without quotes are errors: YAML 1.1 reads some of them as true or
  false. Write `true`, `false`, or quotes.
- Durations are a number and a unit: `500ms`, `30s`, `5m`, `4h`, `2d`. A number without a unit is an error.
- A name is the key of its entry: letters, digits, `.`, `_`, `-`, beginning with a letter or digit, up to
  63.
- Secrets are never in the file. Where a secret is needed, the file says where it is. A password, a URL with
  a user in it, or a private key in any place is an error, and its text is not repeated.
- Anchors, aliases and merge keys (`<<`) work. Tags, dates and numbers in other bases do not.
- UTF-8, one document, up to 40 MB.
"""

_CHECKS = """\
## What `check` finds beyond the keys

Errors:

- a site, node, service or member that is named but not declared; `observers` without this controller;
  dependencies that go round in a circle;
- not exactly one `primary` in a service; a `dr` member at a site that is not `dr`; a member at a witness
  site;
- an `application_name` of two members of a service (compared without case), a slot of two members, a host
  and port of two members, an account of two people;
- `synchronous_standby_names` that can't be parsed, with `*`, with a name twice, with a name that is no
  member's `application_name`, or asking for more standbys than it names. The primary's own name may be
  there and does not count;
- an `mtpd` shorter than the `rto`; a `control` and a `bin_dir` of different PostgreSQL versions, members of
  different versions, a version outside 14 to 18.

Warnings:

- worst-case detection and the expected time of the runbook exceed the RTO; the sum is printed;
- RPO 0 with asynchronous replication; an asynchronous service (always holds on host loss);
- mode `act` without node access, without reference targets, or with nobody to page;
- mode `ask` with an RTO below ten minutes; nobody who may approve, or fewer than must agree; an approval's
  office that nobody holds;
- `/metrics` on an address that is not loopback; a `probe_endpoint` for whoever reaches the port; rules of
  alerts or heartbeats without a `push_token`; a state directory that does not outlive a reboot;
- observers whose observations do not come here, an even number of them, no majority left without one site,
  and none at a third place beside the primary's and the DR site;
- two members on one node; every standby excluded; a member that the endpoint leaves out; a `primary` or
  `standby` at a DR site; `postgresql.service` on Debian (an umbrella); ssh settings that are not used;
  `pg_ctl` without a `log_file`.

## What a service survives

`check` and `status` print for each service what it survives with proof. With `ANY k` or `FIRST k` of n
standbys every acknowledged write is on at least k of them, so any n − k + 1 of them together hold all of
them. When the primary is lost, so many must be readable: it survives the loss of the primary and k − 1
standbys. While the primary lives, writes go on with n − k standbys out, and wait when one more is lost.
"""


def reference_markdown() -> str:
    """The whole page."""
    parts = [_HEAD, "## Starter\n\n```yaml\n" + starter_estate() + "```\n", "## Keys\n"]
    parts += [_section(title, model) for title, model in _models()]
    parts += [_profiles(), _CHECKS]
    return "\n".join(parts)


def write(path: Path) -> None:
    path.write_text(reference_markdown(), encoding="utf-8")


def _models() -> list[tuple[str, type[BaseModel]]]:
    """Every model with where it stands in the file, each once, in the order of the file."""
    found: dict[type[BaseModel], str] = {}
    secrets: list[str] = []

    def visit(model: type[BaseModel], place: str) -> None:
        if model is SecretRef:
            secrets.append(place)
            return
        if model in found:
            if place not in found[model].split("`, `"):  # services of several engines share it
                found[model] += f"`, `{place}"
            return
        found[model] = place
        for key, field in public_fields(model).items():
            for child, deeper in _models_of(field.annotation, f"{place}.{key}".removeprefix(".")):
                visit(child, deeper)

    visit(Estate, "")
    titled = [(f"`{place}`" if place else "Top level", model) for model, place in found.items()]
    return [*titled, ("Where a secret is", SecretRef)]


def _models_of(annotation: Any, place: str) -> Iterator[tuple[type[BaseModel], str]]:
    if annotation is Service:
        for engine in SERVICES.values():
            yield engine, place
    elif annotation is Endpoint:
        for kind in KINDS.values():
            yield kind, place
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, place
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _models_of(get_args(annotation)[0], place)
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _models_of(argument, place)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from _models_of(get_args(annotation)[1], f"{place}.NAME")
    elif origin is tuple:
        yield from _models_of(get_args(annotation)[0], f"{place}[]")


def _section(title: str, model: type[BaseModel]) -> str:
    lines = [f"### {title}", "", " ".join((model.__doc__ or "").split()), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in public_fields(model).items():
        description = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{key}` | {type_text(field)} | {default_text(field)} | {description} |")
    return "\n".join(lines) + "\n"


def type_text(field: FieldInfo) -> str:
    """For a person: `duration`, `text`, `list of number`, …"""
    return _type_name(field.annotation, field.metadata)


def _type_name(annotation: Any, metadata: list[Any]) -> str:
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0], [*arguments[1:], *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(a, metadata) for a in arguments if a is not type(None))
    if origin is Literal:
        return " \\| ".join(f"`{a}`" for a in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {_type_name(arguments[1], [])}"
    if origin is tuple:
        return f"list of {_type_name(arguments[0], [])}"
    if _is_duration(metadata):
        return "duration"
    if annotation is SecretRef:
        return "[secret](#where-a-secret-is)"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " \\| ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return _PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _is_duration(metadata: list[Any]) -> bool:
    return any(getattr(m, "func", None) is parse_duration_s for m in metadata)


def default_text(field: FieldInfo) -> str:
    """As it would be written in the file; `required`, or '' for nothing."""
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if value is None or value in ((), {}, "") or isinstance(value, BaseModel):
        return ""
    if type_text(field) == "duration":
        return f"`{format_duration(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        # Whole models would fill a page; what is built in is told where they are explained.
        return "built in" if isinstance(value[0], BaseModel) else f"`[{', '.join(map(_item, value))}]`"
    return f"`{value}`"


def _item(value: object) -> str:
    """One of a list, as YAML has it: text that is no plain word in quotes."""
    text = str(value)
    return text if text.replace("-", "").replace("_", "").isalnum() else f'"{text}"'


def _profiles() -> str:
    lines = [
        "## Profiles",
        "",
        "| profile | interval | silence ridden out | restart grace | canary every | worst case to `down` |",
        "|---|---|---|---|---|---|",
    ]
    for profile in PROFILES.values():
        numbers = (
            profile.interval_s,
            profile.silence_s,
            profile.restart_grace_s,
            profile.canary_interval_s,
            profile.worst_detection_s,
        )
        lines.append(f"| `{profile.name}` | " + " | ".join(format_duration(n) for n in numbers) + " |")
    steps = ", ".join(f"{name} {seconds:g}s" for name, seconds in EXPECTED_RUNBOOK_S.items())
    total = sum(EXPECTED_RUNBOOK_S.values())
    lines += ["", f"The runbook's share in the check against the RTO: {steps}; together {total:g}s.", ""]
    return "\n".join(lines)
