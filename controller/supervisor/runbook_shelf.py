"""The runbooks of an estate, each as it was when it was first needed, and linted before anything runs.

A reload of the estate reads them anew. What an execution runs is in its journal: an edit changes nothing
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config.findings import Severity
from config.schema import Estate, Service
from model.errors import RunbookError
from runbooks.library import load_runbook
from runbooks.lint import lint
from runbooks.schema import Runbook

# What was found clean once is clean: the same runbook for the same service. Shared by all, since a linting
# costs milliseconds and a failover has none to spare.
_CLEAN: Final[set[tuple[str, str]]] = set()


class RunbookShelf:
    """dirs: a person's own runbooks, before the shipped ones. loaded: by name, those that are loaded."""

    def __init__(
        self, estate: Estate, dirs: Sequence[Path] = (), loaded: dict[str, Runbook] | None = None
    ) -> None:
        self._estate = estate
        self._dirs = tuple(dirs)
        self._loaded: dict[str, Runbook] = {} if loaded is None else loaded

    def load(self, name: str) -> Runbook:
        """Raises RunbookError, RunbookFileError."""
        if name not in self._loaded:
            self._loaded[name] = load_runbook(name, self._dirs)
        return self._loaded[name]

    def ready(self, name: str, service: Service) -> Runbook:
        """The same, without a finding that is an error for this service. Raises RunbookError."""
        runbook = self.load(name)
        key = (runbook.digest, service.model_dump_json(include={"engine", "members"}))
        if key not in _CLEAN:
            found = lint(runbook, self._estate, service)
            errors = [finding for finding in found if finding.severity is Severity.ERROR]
            if errors:
                more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
                raise RunbookError(
                    f"the runbook {name} does not pass the linter: {errors[0]}{more}",
                    where=service.name,
                    hint=f"`bcm-failover runbook lint {name} --service {service.name}` shows all findings",
                )
            _CLEAN.add(key)
        return runbook
