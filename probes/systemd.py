"""Probe type `systemd`: does the service manager of a node say that a unit runs?

It asks the manager, over node access. A unit that is active may still be of no use, so this goes beside a
probe that asks the service itself: it tells a service that was stopped from one that crashed, and one that
restarts again and again from one that runs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from model.observation import Failure, Layer
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.node_command import run_on_node
from probes.texts import one_line
from probes.trace import note

_PROPERTIES = "LoadState,ActiveState,SubState,Result,NRestarts,ExecMainStatus"
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}")
# The manager of an account: found where systemd puts it, unless the login says otherwise. The words that
# follow are arguments and no part of this text.
USER_RUNTIME = 'XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"; export XDG_RUNTIME_DIR'
_USER_MANAGER = f'{USER_RUNTIME}; exec systemctl --user "$@"'
# As `systemctl is-active` has it: a unit that reads its configuration anew is at work.
RUNNING = frozenset({"active", "reloading", "refreshing"})
_FACTS = {
    "LoadState": "load_state",
    "ActiveState": "active_state",
    "SubState": "sub_state",
    "Result": "result",
}
_NUMBERS = {"NRestarts": "restarts", "ExecMainStatus": "exit_status"}


def _a_unit(value: str) -> str:
    if not _UNIT.fullmatch(value):
        raise ValueError(f"not the name of a unit: {value!r} (letters, digits, ':_.\\@-'; no pattern)")
    return value


UnitName = Annotated[str, AfterValidator(_a_unit)]


class SystemdOptions(ProbeOptions):
    """Which unit, and what it should be."""

    unit: UnitName = Field(description="Name of the unit, such as postgresql@15-main.service.")
    expect: Literal["active", "inactive"] = Field(
        "active", description="active: it runs; inactive: it does not, and has not failed."
    )
    manager: Literal["system", "user"] = Field(
        "system",
        description="user: the manager of the account that node access logs in as, where rootless containers "
        "live.",
    )


class SystemdProbe(Probe):
    """A systemd unit, as the manager of its node sees it.

    Facts: `load_state`, `active_state`, `sub_state`, `result` as systemd words them; `restarts`, how often it
    was restarted of the manager's own accord; `exit_status` of its main process (0 while it runs).

    Activating is `starting`, deactivating `stopping`; inactive, failed or missing is `refused`.
    """

    type: ClassVar[str] = "systemd"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = SystemdOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, SystemdOptions)  # noqa: S101  # narrows the type
        self._options = options

    async def check(self) -> Reading:
        words = ["show", "--no-pager", "-p", _PROPERTIES, "--", self._options.unit]
        user = self._options.manager == "user"
        argv = ["sh", "-c", _USER_MANAGER, "sh", *words] if user else ["systemctl", *words]
        result = await run_on_node(self.ports, argv)
        if isinstance(result, Reading):
            return result
        if not result.ok:
            said = one_line(result.stderr or result.stdout)
            return Reading.unknown(None, f"systemctl ended with exit status {result.exit_code}: {said}")
        facts = _facts(result.stdout)
        note("%s", ", ".join(f"{name} {value}" for name, value in facts.items()))
        if "active_state" not in facts:
            return Reading.unknown(None, f"systemctl does not tell the state: {one_line(result.stdout)}")
        return judge(self._options, facts)


def judge(options: SystemdOptions, facts: dict[str, Any]) -> Reading:
    state = facts["active_state"]
    text = f"{options.unit} is {state} ({facts.get('sub_state', 'no more is known')})"
    if facts.get("load_state") == "not-found":
        text = f"there is no unit {options.unit} on the node"
    elif state == "failed":
        text += f": {facts.get('result')}, exit status {facts.get('exit_status', 'not known')}"
    match state:
        case "activating":
            return Reading.failed(Failure.STARTING, text, **facts)
        case "deactivating":
            return Reading.failed(Failure.STOPPING, text, **facts)
        case "failed":
            return Reading.failed(Failure.REFUSED, text, **facts)
        case "inactive":
            if options.expect == "inactive":
                return Reading.ok(text, **facts)
            return Reading.failed(Failure.REFUSED, text, **facts)
        case running if running in RUNNING:
            if options.expect == "active":
                return Reading.ok(text, **facts)
            return Reading.failed(Failure.BAD_ANSWER, f"{text}, and should not be", **facts)
        case _:
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)


def _facts(output: str) -> dict[str, Any]:
    """Of units other than services some properties are missing."""
    facts: dict[str, Any] = {}
    for line in output.splitlines():
        name, _, value = line.partition("=")
        if name in _FACTS and value:
            facts[_FACTS[name]] = one_line(value)
        elif name in _NUMBERS and value.isascii() and value.isdigit():
            facts[_NUMBERS[name]] = int(value)
    return facts
