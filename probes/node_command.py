"""One command on the node of a probe. Where none could be run, that is unknown: never a node that is down."""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import NodeAccessError
from model.observation import Failure
from model.ports import CommandResult
from probes.base import ProbePorts, Reading
from probes.texts import one_line
from probes.trace import note

# The verdict falls at the probe's own deadline; this ends what would go on behind it.
LIMIT_S = 30.0


async def run_on_node(
    ports: ProbePorts, argv: Sequence[str], *, stdin: bytes | None = None
) -> CommandResult | Reading:
    """The result of a command that ended, whatever its exit code; or the reading `unknown` that says why
    there is none."""
    if ports.node is None:
        return Reading.unknown(
            Failure.LOCAL, "no access to a node: give the probe a `node` whose `access` is ssh or local"
        )
    note("running on the node: %s", ports.node.describe(argv))
    try:
        result = await ports.node.run(argv, timeout_s=LIMIT_S, stdin=stdin)
    except NodeAccessError as exc:
        return Reading.unknown(None, f"{exc.where}: {exc.what}" if exc.where else exc.what)
    if result.exit_code is None:
        return Reading.unknown(None, f"the command on the node did not end: {one_line(result.stderr)}")
    note("exit status %d after %.0f ms", result.exit_code, result.took_s * 1000)
    return result
