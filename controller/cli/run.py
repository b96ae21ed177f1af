"""`run`: the daemon."""

from __future__ import annotations

import click

from controller.cli.base import command
from controller.cli.settings import current_settings


@command(
    "run",
    examples=(
        "bcm-failover run -c /etc/bcm-failover/estate.yaml",
        "systemctl start bcm-failover  # the same, as a service",
    ),
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="auto: console on a terminal, json elsewhere.",
)
def run(log_format: str) -> int:
    """Run the daemon on the estate named with -c: watch, decide, act.

    SIGTERM and Ctrl-C stop it cleanly, with nothing half done that the journal does not know of. SIGHUP
    reads the estate again.
    """
    import sys

    from controller import daemon

    chosen = log_format
    if chosen == "auto":
        chosen = "console" if sys.stderr.isatty() else "json"
    return daemon.run(current_settings().config_path, log_format=chosen)
