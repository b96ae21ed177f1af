"""Probe type `exec`: a Nagios plugin, or any program that speaks like one.

It runs on this host, as the daemon's own account, without a shell and with an environment of its own. Its
exit code is its verdict: 0 all is well, 1 a warning, 2 critical, 3 it could not find out. Thousands of such
plugins exist; so whatever no other type can see can be watched. Under the unit that is shipped no program can
gain rights: a plugin that is set-uid root, such as check_icmp, fails there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.perfdata import parse_output
from probes.plugin_process import Ended, PluginProcess
from probes.process_words import check_arguments, check_environment
from probes.texts import masked, one_line
from probes.threads import AllBusyError, BoundedThreads
from probes.trace import note

# Of all probes of this type together. More programs at once would slow down each other and this process.
MOST_AT_ONCE = 32
MOST_LONG_TEXT = 2000
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_threads = BoundedThreads("exec probe", MOST_AT_ONCE)
_STATES = {0: "ok", 1: "warning", 2: "critical", 3: "unknown"}


class ExecOptions(ProbeOptions):
    """A program and what it is given."""

    command: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="The program, by its absolute path, and its arguments, as a list. There is no shell."
    )
    env: Mapping[str, str] = Field(
        {}, description="Environment variables, added to PATH and LC_ALL=C. Nothing else is handed on."
    )
    secret_env: Mapping[str, SecretRef] = Field(
        {},
        description="Environment variables that hold secrets, by reference. Where the program prints one, it "
        "is masked.",
    )

    @field_validator("command")
    @classmethod
    def _a_program(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not PurePosixPath(command[0]).is_absolute():
            raise ValueError(f"the program is named by its absolute path, not {command[0]!r}")
        check_arguments(command, "`secret_env`")
        return command

    @model_validator(mode="after")
    def _variables(self) -> Self:
        check_environment(self.env, self.secret_env, "`secret_env`")
        return self


class ExecProbe(Probe):
    """A Nagios plugin: exit codes 0 to 3 and perfdata.

    Facts: `state` (ok, warning, critical, unknown), `exit_status`, `perfdata` (label → {value, unit, warn,
    crit, min, max}, all of them text), `long_output` where there is any, cut at 2000 characters.

    A warning has succeeded: the target does its work. Critical is `bad_answer`; all else is unknown.
    """

    type: ClassVar[str] = "exec"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = ExecOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, ExecOptions)  # noqa: S101  # narrows the type
        self._options = options

    async def check(self) -> Reading:
        process = PluginProcess()
        note("starting %s", " ".join(self._options.command))
        try:
            ended = await _threads.start(lambda: self._run(process))
        except asyncio.CancelledError:
            process.stop()
            raise
        except AllBusyError as exc:
            return Reading.unknown(Failure.LOCAL, f"programs of `exec` probes: {exc}")
        except SecretError as exc:
            return Reading.unknown(Failure.LOCAL, f"{exc.where}: {exc.what}")
        except OSError as exc:
            text = f"{self._options.command[0]} can't be started: {exc.strerror}"
            return Reading.unknown(Failure.LOCAL, text)
        return judge(ended)

    def _run(self, process: PluginProcess) -> Ended:
        """In its thread: secrets are files, and files can block."""
        references = self._options.secret_env
        secrets = {name: self.ports.secrets.get(reference) for name, reference in references.items()}
        ended = process.run(self._options.command, {**ENVIRONMENT, **self._options.env, **secrets})
        return Ended(
            ended.status,
            masked(ended.output, secrets.values()),
            masked(ended.errors, secrets.values()),
            ended.why,
        )


def judge(ended: Ended) -> Reading:
    """The verdict of a plugin that has ended."""
    note("ended: %s", ended.why or _how(ended.status))
    if ended.status is None:
        return Reading.unknown(Failure.LOCAL, ended.why)
    said = parse_output(ended.output)
    for line in (said.text, *said.long_text.splitlines()[:20], *ended.errors.splitlines()[:20]):
        note("it says: %s", one_line(line))
    facts: dict[str, Any] = {
        "state": _STATES.get(ended.status, "unknown"),
        "exit_status": ended.status,
        "perfdata": said.perfdata,
    }
    if said.long_text:
        facts["long_output"] = said.long_text[:MOST_LONG_TEXT]
    text = one_line(said.text or ended.errors)
    match ended.status:
        case 0 | 1:
            return Reading.ok(text, **facts)
        case 2:
            return Reading.failed(Failure.BAD_ANSWER, text or "critical, without a word", **facts)
        case 3:
            return Reading.unknown(None, text or "it could not find out", **facts)
        case _:
            how = _how(ended.status)
            return Reading.unknown(Failure.LOCAL, f"{how}: {text}" if text else how, **facts)


def _how(status: int | None) -> str:
    if status is None:
        return "no end"
    return f"a signal ended it ({-status})" if status < 0 else f"exit status {status}"
