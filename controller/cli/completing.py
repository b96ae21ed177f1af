"""Names for the shell's completion, asked of the daemon or read in the estate: fast, and silent without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import click

from controller.cli.client import Client
from controller.cli.settings import settings_of
from model.errors import BcmError

# A person who presses TAB waits no longer than this.
_PATIENCE_S: Final = 0.3


def services(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _matching((s.get("name") for s in _items(ctx, "services", "status")), incomplete)


def members(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Of the service that is on the command line already; of all, if there is none yet."""
    # An option without its value yet (`SERVICE --to `) leaves what was read so far in `args`.
    wanted = ctx.params.get("service") or next(iter(ctx.args), None)
    found = (
        member.get("name")
        for service in _items(ctx, "services", "status")
        if wanted in (None, service.get("name"))
        for member in service.get("members", [])
    )
    return _matching(found, incomplete)


def executions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _matching((e.get("id") for e in _items(ctx, "items", "executions")), incomplete)


def asking_steps(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Those of the execution on the command line that wait for people."""
    wanted = ctx.params.get("execution_id")
    found = (
        asked.get("step")
        for execution in _items(ctx, "items", "executions")
        if execution.get("id") == wanted
        for asked in execution.get("asks", [])
    )
    return _matching(found, incomplete)


def incidents(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _matching((i.get("id") for i in _items(ctx, "items", "incidents")), incomplete)


def probes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return _matching((p.get("name") for p in _items(ctx, "probes", "status")), incomplete)


def actions(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    from runbooks.registry import action_names

    return _matching(action_names(), incomplete)


def approvals(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    found = _items(ctx, "approvals", "status")
    return _matching((a.get("id") for a in found), incomplete)


def sites(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Of the estate's file."""
    return _matching(_declared(ctx, "sites"), incomplete)


def fault_targets(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Of a simulated fault, as the estate's file declares them."""
    services = _declared(ctx, "services")
    found = [*(f"site:{name}" for name in _declared(ctx, "sites"))]
    found += [f"node:{name}" for name in _declared(ctx, "nodes")]
    found += [f"service:{name}" for name in services]
    found += [f"{name}/{member}" for name, entry in services.items() for member in _part(entry, "members")]
    return _matching([*found, "controller"], incomplete)


def _declared(ctx: click.Context, section: str) -> dict[str, Any]:
    """A section of the estate's file, as it stands there; silent where there is none."""
    import yaml

    try:
        document = yaml.safe_load(settings_of(ctx).config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return _part(document, section)


def _part(value: Any, key: str) -> dict[str, Any]:
    part = value.get(key) if isinstance(value, dict) else None
    return part if isinstance(part, dict) else {}


def _items(ctx: click.Context, key: str, path: str) -> list[dict[str, Any]]:
    try:
        body = Client.of(settings_of(ctx), timeout_s=_PATIENCE_S).get(path)
    except (BcmError, OSError):
        return []
    items = body.get(key)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _matching(names: Iterable[object], incomplete: str) -> list[str]:
    return sorted({str(n) for n in names if n and str(n).startswith(incomplete)})
