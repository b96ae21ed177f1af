"""Makes a plan: a runbook bound to a service and to values for all of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.findings import did_you_mean, one_of
from config.schema import Estate, Service
from config.validation import dotted
from model.canonical import digest
from model.errors import RunbookError
from model.execution import Mode
from runbooks.actions.base import ActionPorts
from runbooks.names import SERVICE, name_problems
from runbooks.plan_view import Expected, PlanView, view
from runbooks.registry import action_type
from runbooks.schema import Runbook
from runbooks.spliced import spliced
from runbooks.template import compile_ahead
from runbooks.values import type_problem

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run. `digest` pins runbook, service, variables and mode."""

    runbook: Runbook
    estate: Estate
    service: Service
    vars: Mapping[str, Any]
    mode: Mode

    @property
    def digest(self) -> str:
        return digest(
            {
                "runbook": self.runbook.digest,
                "service": self.service.name,
                "vars": dict(self.vars),
                "mode": self.mode.value,
            }
        )

    async def describe(
        self,
        ports: ActionPorts,
        *,
        expected: Mapping[str, Expected] | None = None,
        with_prechecks: bool = True,
    ) -> PlanView:
        """What `--dry-run` prints: per step the resolved commands, who acts where, and the live prechecks.

        expected: how long each step took in the past. Changes nothing.
        """
        return await view(self, ports, expected or {}, with_prechecks=with_prechecks)


def make_plan(
    runbook: Runbook,
    *,
    estate: Estate,
    service: Service | str,
    vars: Mapping[str, Any],  # noqa: A002 - the word of the runbook's file
    mode: Mode = Mode.REAL,
) -> Plan:
    """Variables checked and defaulted; every name in every template is known to be there.

    Raises RunbookError with all problems at once.
    """
    bound = _service(estate, service) if isinstance(service, str) else service
    problems = _engine_problem(runbook, bound)
    values = _values(runbook, bound, vars, problems)
    for step in runbook.steps:
        try:
            kind = action_type(step.action)
        except RunbookError as error:
            problems.append(f"step {step.id}: {error.what}; {error.hint}")
        else:
            problems += [
                f"step {step.id}: no template may stand in `{dotted(path)}`: {why}"
                for path, why in spliced(step, kind)
            ]
        compile_ahead(step.with_, step.when)
    problems += [f"{runbook.document.error(p.path, p.what, '', p.allowed)}" for p in name_problems(runbook)]
    if problems:
        raise RunbookError(
            "; ".join(problems),
            where=f"runbook {runbook.name} for {bound.name}",
            hint=f"`bcm-failover runbook lint {runbook.name}` shows the findings with their lines",
        )
    return Plan(runbook, estate, bound, values, mode)


def _service(estate: Estate, name: str) -> Service:
    if name not in estate.services:
        raise RunbookError(
            f"there is no service {name!r}",
            hint=did_you_mean(name, estate.services) or f"there are: {one_of(estate.services)}",
        )
    return estate.services[name]


def _engine_problem(runbook: Runbook, service: Service) -> list[str]:
    if runbook.engine in ("generic", service.engine):
        return []
    return [f"it is for {runbook.engine}, the service is made of {service.engine}"]


def _values(
    runbook: Runbook, service: Service, given: Mapping[str, Any], problems: list[str]
) -> dict[str, Any]:
    """The value of every variable; what is wrong is added to `problems`."""
    for name in given:
        if name not in runbook.vars and name != SERVICE:
            near = did_you_mean(name, runbook.vars) or f"there are: {one_of(runbook.vars)}"
            problems.append(f"it has no variable {name!r}; {near}")
    values: dict[str, Any] = {SERVICE: service.name}
    for name, variable in runbook.vars.items():
        value = given.get(name, variable.default)
        if name == SERVICE:
            value = service.name
        if value is None:
            if variable.required:
                problems.append(f"variable {name!r} is required and has no value")
            values[name] = None
            continue
        found = type_problem(value, variable.type, service)
        if found:
            problems.append(f"variable {name!r} {found}")
        values[name] = list(value) if isinstance(value, tuple) else value
    return values
