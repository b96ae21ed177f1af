"""Which probe types there are: the entry points of group `bcm_failover.probes`, loaded when first asked for.

A type of one's own is a class in any installed distribution and one line in its metadata; see
docs/adding-a-probe.md.
"""

from __future__ import annotations

import difflib
import sys
from importlib import metadata

from model.errors import UsageError
from probes.base import API_VERSION, Probe

GROUP = "bcm_failover.probes"
DISTRIBUTION = "bcm-failover"


def probe_types() -> dict[str, str]:
    """Name → `module:Class` of every registered type. Nothing is imported."""
    return {name: point.value for name, point in sorted(_entry_points().items())}


def load_probe_type(name: str) -> type[Probe]:
    """The class of a probe type.

    Raises UsageError: the type is unknown, registered twice, made for another version of this interface, or
    not importable, perhaps because another package of the same name hides it.
    """
    points = _entry_points()
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(sorted(points))}"
        raise UsageError(f"unknown probe type `{name}`", hint=hint)
    point = points[name]
    where = f"probe type `{name}` ({point.value})"
    try:
        loaded = point.load()
    except (ImportError, AttributeError) as exc:
        raise UsageError(
            f"it can't be loaded: {exc}{_origin(point.module)}", where=where, hint=_hint()
        ) from exc
    if not (isinstance(loaded, type) and issubclass(loaded, Probe)):
        raise UsageError(
            f"it is no probe: its class must derive from probes.base.Probe{_origin(point.module)}",
            where=where,
            hint=_hint(),
        )
    if loaded.API_VERSION != API_VERSION:
        raise UsageError(
            f"it is made for version {loaded.API_VERSION} of the probe interface; this is {API_VERSION}",
            where=where,
            hint="install a version of the plug-in for this bcm-failover",
        )
    return loaded


def _entry_points() -> dict[str, metadata.EntryPoint]:
    """By name. The same line found twice is one installation seen on two paths, and no conflict."""
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise UsageError(
                f"probe type `{point.name}` is registered twice: {other.value} and {point.value}",
                hint="uninstall one of the two distributions",
            )
    return found


def _origin(module: str) -> str:
    """Where the module's package came from, if it came from anywhere."""
    package = sys.modules.get(module.partition(".")[0])
    file = getattr(package, "__file__", None)
    return f" (`{package.__name__}` is {file})" if package is not None and file else ""


def _hint() -> str:
    return f"install {DISTRIBUTION} in a virtual environment of its own, so that no other package hides it"
