"""ansible.playbook: a playbook is run from this host, with values as its variables."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from config.document import Path
from config.secrets import SecretRef
from model.errors import BcmError, RunbookError
from model.execution import Precheck, Reconciled, StepResult
from probes.texts import masked, one_line
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.values import unjournalable

_MODULE: Final = "runbooks.actions.ansible.process"
_STOPS_BEFORE_S: Final = 2.0  # Ansible is asked to end so long before it is killed
_MISSING: Final = "ansible-runner is not installed"
_INSTALL: Final = "pip install 'bcm-failover[ansible]', into the environment of the daemon"
# Of hosts, groups and tags; nothing of Ansible's language of patterns.
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$")]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,126}$")]


class PlaybookOptions(ActionOptions):
    """Which playbook, on which hosts, with which values."""

    playbook: str = Field(description="Absolute path of the playbook, on this host.")
    inventory: str = Field("", description="Absolute path of the inventory; this host alone, if empty.")
    limit: tuple[Word, ...] = Field(
        (), description="Names of hosts or groups; all of the playbook's, if empty."
    )
    tags: tuple[Word, ...] = Field((), description="Only tasks with one of these tags.")
    skip_tags: tuple[Word, ...] = Field((), description="No tasks with one of these tags.")
    variables: Mapping[VariableName, Any] = Field(
        {}, description="Extra variables. A text in them is a text to Ansible, and never a template."
    )
    vault_password: SecretRef | None = Field(None, description="Where the password of Ansible's vault is.")
    effect: Literal["", "check_mode"] = Field(
        "",
        description="check_mode: whether the effect is there is asked by `--check`: yes, if it would change "
        "nothing. Then it may also be run again. Only for playbooks whose every task knows check mode.",
    )
    undo: str = Field("", description="Absolute path of a playbook that takes it back, with the same values.")
    check: bool = Field(False, description="true: only look what it would change (`--check`).")

    @field_validator("playbook", "inventory", "undo")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and (not PurePosixPath(value).is_absolute() or any(c < " " for c in value)):
            raise ValueError(f"must be an absolute path: {value!r}")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.playbook:
            raise ValueError("`playbook` is empty")
        if self.check and (self.effect or self.undo):
            raise ValueError("what only looks (`check: true`) has no `effect` and no `undo`")
        found = unjournalable(dict(self.variables), "variables")
        if found:
            raise ValueError(found)
        return self


class Playbook(Action):
    """Runs a playbook by ansible-runner, in a process of its own, as the daemon's account. It succeeds if
    every host was reached and no task has failed.

    Output: `ok`, `changed_tasks`, `failures`, `unreachable`: sums over all hosts; `hosts`: the same for each;
    `output_file`: what Ansible printed; `changed`: a task has changed something.
    """

    name: ClassVar[str] = "ansible.playbook"
    Options: ClassVar[type[ActionOptions]] = PlaybookOptions
    outputs: ClassVar[tuple[str, ...] | None] = (
        "ok", "changed_tasks", "failures", "unreachable", "hosts", "output_file", "changed",
    )  # fmt: skip
    literal: ClassVar[tuple[Path, ...]] = (
        ("playbook",), ("inventory",), ("undo",), ("effect",), ("check",),
    )  # fmt: skip
    # A playbook in check mode takes seconds before its first task.
    check_limit_s: ClassVar[float] = 120.0

    def __init__(self, options: PlaybookOptions) -> None:
        super().__init__(options)
        self._options = options

    @classmethod
    def changes(cls, written: Mapping[str, Any]) -> bool:
        return written.get("check") is not True

    @classmethod
    def repeatable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def observable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def reversible(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("undo"))

    def describe(self, ctx: StepContext) -> list[str]:
        given = self._options
        words = ["ansible-playbook", given.playbook]
        words += ["-i", given.inventory or "localhost,"]
        for option, names in (
            ("--limit", given.limit),
            ("--tags", given.tags),
            ("--skip-tags", given.skip_tags),
        ):
            words += [option, ",".join(names)] if names else []
        words += ["--check"] if given.check else []
        shown = [" ".join(words), *(f"with {name}={value!r}" for name, value in given.variables.items())]
        return shown + ([f"undo: {given.undo}"] if given.undo else [])

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        installed = importlib.util.find_spec("ansible_runner") is not None
        found = await ctx.ports.here.run(["test", "-r", self._options.playbook], timeout_s=5.0)
        return [
            Precheck(
                what="ansible-runner",
                how="look for it in the daemon's environment",
                ok=installed,
                result="it is installed" if installed else _MISSING,
                why="it runs the playbook",
                if_failed=_INSTALL,
            ),
            Precheck(
                what=f"the playbook {self._options.playbook}",
                how=f"test -r {self._options.playbook}",
                ok=None if found.exit_code is None else found.ok,
                result="it can be read" if found.ok else "it is not there, or can't be read",
                why="the step runs it",
                if_failed="mend its path or rights",
            ),
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._play(ctx, self._options.playbook, deadline_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        if not self._options.effect:
            return Reconciled.unknown("the runbook does not say that check mode tells its effect")
        try:
            found = await self._ask(ctx, self._options.playbook, deadline_s, check=True)
        except BcmError as error:
            return Reconciled.unknown(f"its effect can't be looked at: {error}")
        if found is None or not found["good"]:
            return Reconciled.unknown("its effect can't be looked at: check mode did not come to its end")
        if found["changed_tasks"]:
            return Reconciled.not_done(f"{found['changed_tasks']} tasks would change something")
        return Reconciled.done("no task would change anything", **(_outputs(found) | {"changed": True}))

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok("no task has changed anything")
        if not self._options.undo:
            return StepResult.failed("the runbook names no playbook that takes it back")
        return await self._play(ctx, self._options.undo, deadline_s)

    async def _play(self, ctx: StepContext, playbook: str, deadline_s: float) -> StepResult:
        try:
            found = await self._ask(ctx, playbook, deadline_s, check=self._options.check)
        except BcmError as error:
            return StepResult.failed(str(error))
        if found is None or found["status"] in ("timeout", "canceled"):
            return StepResult.unknown(f"{playbook} did not end in time")
        text = (
            f"{found['ok']} tasks are right, {found['changed_tasks']} changed something, "
            f"{found['failures']} failed, {found['unreachable']} hosts can't be reached"
        )
        outcome = StepResult.ok if found["good"] else StepResult.failed
        return outcome(text if found["good"] else f"{text}: {found['last']}", **_outputs(found))

    async def _ask(
        self, ctx: StepContext, playbook: str, deadline_s: float, *, check: bool
    ) -> dict[str, Any] | None:
        """What came of it; None where that is not known. Raises BcmError where nothing was run."""
        if importlib.util.find_spec("ansible_runner") is None:
            raise RunbookError(_MISSING, hint=_INSTALL)
        given, left_s = self._options, ctx.left_s(deadline_s)
        vault = "" if given.vault_password is None else ctx.ports.secrets.get(given.vault_password)
        request = {
            "playbook": playbook,
            "inventory": given.inventory,
            "limit": given.limit,
            "tags": given.tags,
            "skip_tags": given.skip_tags,
            "variables": dict(given.variables),
            "check": check,
            "vault_password": vault,
            "timeout_s": max(left_s - _STOPS_BEFORE_S, left_s / 2),
        }
        result = await ctx.ports.here.run(
            [sys.executable, "-m", _MODULE],
            timeout_s=left_s,
            stdin=json.dumps(request).encode(),
            env={"LC_ALL": "C.UTF-8"},  # Ansible refuses any locale that is not UTF-8
        )
        if result.exit_code is None:
            return None
        try:
            found: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            said = one_line(masked(result.stderr or result.stdout, [vault]))
            raise RunbookError(f"ansible-runner ended with {result.exit_code}: {said}") from None
        printed = masked(found["printed"], [vault])
        found["output_file"] = await ctx.ports.outputs.keep(ctx.execution, ctx.step, printed)
        return _summed(found, printed)


def _summed(found: dict[str, Any], printed: str) -> dict[str, Any]:
    stats: Mapping[str, Mapping[str, int]] = found["stats"]
    names = {"ok": "ok", "changed": "changed_tasks", "failures": "failures", "dark": "unreachable"}
    hosts = sorted({host for counted in stats.values() for host in counted})
    found["hosts"] = {
        host: {word: stats[name].get(host, 0) for name, word in names.items()} for host in hosts
    }
    for name, word in names.items():
        found[word] = sum(stats[name].values())
    said = [line for line in printed.splitlines() if line.startswith(("fatal:", "ERROR", "[ERROR]"))]
    found["last"] = one_line(said[-1] if said else (printed.strip().splitlines() or ["without a word"])[-1])
    found["good"] = found["status"] == "successful" and not found["failures"] and not found["unreachable"]
    return found


def _outputs(found: Mapping[str, Any]) -> dict[str, Any]:
    names = ("ok", "changed_tasks", "failures", "unreachable", "hosts", "output_file")
    return {**{name: found[name] for name in names}, "changed": found["changed_tasks"] > 0}
