"""`init`: a start for a new estate."""

from __future__ import annotations

import os
from pathlib import Path

import click

from controller.cli.base import command
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from model.errors import UsageError


@command(
    "init",
    examples=(
        "bcm-failover init /etc/bcm-failover/estate.yaml",
        "bcm-failover init - | less",
        "bcm-failover init --grants postgresql --version 15 > grants.sql",
        "bcm-failover init --grants postgresql -c estate.yaml --service orders  # its own role names",
    ),
)
@click.argument("file", type=click.Path(path_type=Path), default="estate.yaml")
@click.option(
    "--grants", type=click.Choice(["postgresql"]), help="Print the SQL for the product's roles instead."
)
@click.option(
    "--version", "version", type=int, default=18, show_default=True, help="Server version of --grants."
)
@click.option("--service", help="With --grants and -c: take the names of the roles from this service.")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def init(file: Path, grants: str | None, version: int, service: str | None, force: bool) -> int:
    """Write a commented starter estate to FILE ("-": print it), or print SQL with --grants.

    The starter passes `check` as it is and is in mode observe: it watches and says what it would do.
    """
    settings = current_settings()
    if grants is not None:
        _print_grants(settings, grants, version, service)
        return ExitCode.OK
    from config.starter import starter_estate

    if str(file) == "-":
        click.echo(starter_estate(), nl=False)
        return ExitCode.OK
    _write_new(file, starter_estate(), force)
    click.echo(f"{file} written; edit it, then: bcm-failover check {file}")
    return ExitCode.OK


def _print_grants(settings: Settings, engine: str, version: int, service: str | None) -> None:
    from config.grants import grants_sql

    if service is None:
        click.echo(grants_sql(engine, version), nl=False)
        return
    from config.engines import postgresql_of
    from config.loader import load_estate

    services = load_estate(settings.config_path).estate.services
    if service not in services:
        raise UsageError(
            f"no service {service!r} in {settings.config_path}",
            hint=f"services: {', '.join(sorted(services))}",
        )
    click.echo(grants_sql(engine, version, postgresql_of(services[service]).postgresql), nl=False)


def _write_new(file: Path, text: str, force: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(file, flags, 0o640), "w", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as error:
        raise UsageError(
            "the file is there already and is left as it is",
            where=str(file),
            hint="name another file, or replace it with --force",
        ) from error
    except OSError as error:
        raise UsageError(
            f"can't write the file: {error.strerror}", where=str(file), hint="name another path"
        ) from error
