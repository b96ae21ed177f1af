"""What is seen of services beside their members: declared probes, early warnings, alerts, inspections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.alerts import AlertBox
from controller.declared import DeclaredProbes, subjects_of
from controller.early_warnings.desk import WarningDesk
from controller.inspection.desk import InspectionDesk
from controller.probe_runs import ProbeRuns
from controller.root_desk import RootDesk
from controller.status import alert_warnings, declared_status, roots_status, warnings_status
from controller.supervisor.supervisor import Supervisor
from model.ports import Clock

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signals:
    """declared and runs: of the estate in force, which a reload changes."""

    clock: Clock
    declared: Callable[[], DeclaredProbes]
    runs: Callable[[], ProbeRuns]
    warnings: WarningDesk
    inspections: InspectionDesk
    alerts: AlertBox
    roots: RootDesk | None = None

    def status(self) -> Json:
        """{"roots", "probes", "warnings"} of the whole estate."""
        return {
            "roots": roots_status(self.roots.lasting() if self.roots is not None else ()),
            "probes": declared_status(self.declared().all(), self.clock.monotonic_s()),
            "warnings": [*warnings_status(self.warnings.open()), *self._alerts_of(None)],
        }

    def of(self, supervisor: Supervisor) -> Json:
        """{"probes", "warnings"} about a service, its members, and the nodes and sites below them."""
        subjects = subjects_of(supervisor.service, supervisor.estate)
        return {
            "probes": declared_status(self.declared().about(*subjects), self.clock.monotonic_s()),
            "warnings": self.warnings_of(supervisor),
        }

    def warnings_of(self, supervisor: Supervisor) -> list[Json]:
        found = self.warnings.about(*subjects_of(supervisor.service, supervisor.estate))
        return [*warnings_status(found), *self._alerts_of(supervisor.service.name)]

    def _alerts_of(self, service: str | None) -> list[Json]:
        return alert_warnings(self.alerts.firing(service), self.clock.monotonic_s(), self.clock.wall_s())
