"""`check` and `schema`: what is wrong in an estate, and what may stand in one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from controller.cli.base import command
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import clean, structured


@command(
    "check",
    examples=(
        "bcm-failover check /etc/bcm-failover/estate.yaml",
        "bcm-failover check estate.yaml -o json",
        "bcm-failover check estate.yaml --strict  # warnings count too: for a pipeline",
    ),
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def check(file: Path | None, strict: bool) -> int:
    """Find everything that is wrong in the estate FILE (by default the one named with -c).

    Every finding at once, as file:line:col: what, why, what is allowed; and for each service what it would
    survive with proof. Exit code 1 with errors. Nothing outside the file is asked.
    """
    from controller import estate_file

    settings = current_settings()
    path = file or settings.config_path
    if settings.structured:
        examined = estate_file.examined(path)
        body = {
            "kind": "Check",
            "file": str(path),
            "digest": examined.digest,
            "usable": examined.estate is not None,
            "findings": [finding_json(f) for f in examined.findings],
        }
        click.echo(structured(settings, body))
        usable, findings = examined.estate is not None, bool(examined.findings)
    else:
        code, lines = estate_file.report(path)
        for line in lines:
            click.echo(clean(line))
        usable = code == 0
        findings = strict and bool(estate_file.examined(path).findings)
    return ExitCode.OK if usable and not (strict and findings) else ExitCode.FAILED


@command(
    "schema",
    examples=(
        "bcm-failover schema > estate.schema.json",
        "# first line of an estate: # yaml-language-server: $schema=estate.schema.json",
    ),
)
def schema() -> int:
    """Print the estate's JSON Schema, for editors and other programs."""
    from config.json_schema import estate_json_schema

    click.echo(json.dumps(estate_json_schema(), indent=2, ensure_ascii=False))
    return ExitCode.OK


def finding_json(finding: Any) -> Mapping[str, Any]:
    """Of a `config.findings.Finding`."""
    return {
        "severity": finding.severity.value,
        "line": finding.line,
        "col": finding.col,
        "what": finding.what,
        "why": finding.why,
        "allowed": finding.allowed,
    }
