"""What `bcm-failover check` prints."""

from __future__ import annotations

from pathlib import Path

from config.loader import FurtherCheck, examine
from config.positions import load_yaml
from config.schema import PostgresqlService, RedisService, Service
from config.tolerance import tolerance_line
from model.decision import NO_RUNBOOKS


def check_report(path: Path | str, *further: FurtherCheck) -> tuple[int, list[str]]:
    """(exit code, lines): every finding, what each service survives, a summary. 0: usable, 1: not."""
    path = Path(path)
    examined = examine(load_yaml(path), *further)
    lines = [str(finding) for finding in examined.findings]
    errors = len(examined.errors)
    warnings = len(examined.findings) - errors
    if examined.estate is None:
        return 1, [*lines, f"{path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}"]
    estate = examined.estate
    lines += [f"service {_service_line(service)}" for service in estate.services.values()]
    members = sum(1 for _ in estate.all_members())
    lines.append(
        f"{path}: ok, {_count(warnings, 'warning')}; {_count(len(estate.services), 'service')}, "
        f"{_count(members, 'member')}, digest sha256:{examined.digest}"
    )
    return 0, lines


def _service_line(service: Service) -> str:
    if isinstance(service, PostgresqlService):
        return tolerance_line(service)
    if isinstance(service, RedisService):
        return _redis_line(service)
    return f"{service.name}: engine {service.engine}: {NO_RUNBOOKS}"


def _redis_line(service: RedisService) -> str:
    if service.manager == "sentinel":
        return f"{service.name}: Sentinel fails it over; it can be asked for a switchover"
    if service.objectives.rpo == 0:
        return (
            f"{service.name}: asynchronous, with an RPO of 0: a failover always holds and asks, since "
            "nothing can be proven; a planned switchover loses nothing"
        )
    return (
        f"{service.name}: asynchronous: survives the primary unproven, with at most "
        f"{service.objectives.rpo:g} s lost; a planned switchover loses nothing"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
