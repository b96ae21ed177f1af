"""file.render: a file gets the content that the runbook says, whole or not at all."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.document import Path
from model.errors import BcmError, NodeAccessError, RunbookError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import CommandResult, NodeAccess
from probes.texts import one_line
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.files.script import CHANGED_SINCE, NO_DIRECTORY, NO_FILE, NOT_ALLOWED, SCRIPT
from runbooks.actions.nodes import NodeOptions, access_to, node_name
from runbooks.actions.signature import signature

_OWNER: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]{0,31}(:[A-Za-z_][A-Za-z0-9_.-]{0,31})?)?")
_REFUSED: Final = frozenset({NOT_ALLOWED, NO_DIRECTORY, NO_FILE, CHANGED_SINCE})
_MOST_BYTES: Final = 1_000_000
_STATES: Final = {"there": "it is so already", "other": "it is another", "missing": "it is not there"}
Verb = Literal["look", "write", "undo"]


def _a_path(value: str) -> str:
    """As it stands, without a part that leads back up: what it means must be seen in it."""
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("a path has no control characters")
    parts = value.split("/")
    if not value.startswith("/") or any(part in ("", ".", "..") for part in parts[1:]):
        raise ValueError(f"must be an absolute path of a file, without `.`, `..` and `//`: {value!r}")
    return value


def _a_mode(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise ValueError(f'must be three octal digits in quotes, as "0644": {value!r}')
    return value.removeprefix("0") if len(value) == 4 else value


def _an_owner(value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise ValueError(f"must be USER or USER:GROUP: {value!r}")
    return value


FilePath = Annotated[str, AfterValidator(_a_path)]
Mode = Annotated[str, BeforeValidator(_a_mode)]
Owner = Annotated[str, AfterValidator(_an_owner)]


class RenderOptions(ActionOptions):
    """Which file, where, and what is in it."""

    path: FilePath = Field(
        description="Absolute path, below one of the estate's `daemon.file_directories`. Its directory must "
        "be there."
    )
    content: str = Field(
        description="The whole content. `{{ … }}` in it is filled in; a value is a part of a line, and never "
        "has a line's end in it."
    )
    mode: Mode = Field("644", description="Rights, as three octal digits in quotes.")
    owner: Owner = Field("", description="USER or USER:GROUP; the account that writes, if empty.")
    node: str = Field("", description="Name of the node; this host, if neither it nor `member` is given.")
    member: str = Field("", description="Name of a member of the service, for the node on which it stands.")
    user: str = Field("", description="Account that writes; by sudo, if the login is another.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.node and self.member:
            raise ValueError("give `node` or `member`, and not both")
        if len(self.content.encode(errors="replace")) > _MOST_BYTES:
            raise ValueError(f"a content has at most {_MOST_BYTES} bytes")
        return self

    @property
    def data(self) -> bytes:
        """A text file ends with a line's end."""
        text = self.content if self.content.endswith("\n") or not self.content else f"{self.content}\n"
        return text.encode()


class Render(Action):
    """Writes the content beside the file and lets it take the file's place at once. What was there before is
    kept in the same directory, as `.NAME.EXE-….before`, until the next execution writes the file. A file that
    is as it should be is left alone.

    A value makes no line of its own; what the file's reader makes of it within the line is not known here. So
    no file that is read as code (a script, a crontab) should have one in it.

    The directory is followed to where it really is before anything is written: links that lead out of what is
    allowed are refused, and so is a file that is a link itself.

    Output: `digest`, SHA-256 of the content; `bytes`; `changed`: false where it was there before.

    Undo: the former content, rights and owner, or no file where there was none; a file that somebody else has
    changed since is left as it is, which is a failure.
    """

    name: ClassVar[str] = "file.render"
    Options: ClassVar[type[ActionOptions]] = RenderOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("digest", "bytes", "changed")
    literal: ClassVar[tuple[Path, ...]] = (("mode",), ("owner",), ("user",))
    by_line: ClassVar[frozenset[str]] = frozenset({"content"})

    def __init__(self, options: RenderOptions) -> None:
        super().__init__(options)
        self._options = options
        self._data = options.data
        self._digest = hashlib.sha256(self._data).hexdigest()

    def describe(self, ctx: StepContext) -> list[str]:
        given = self._options
        owner = f", owner {given.owner}" if given.owner else ""
        size = f"{len(self._data)} bytes, sha256 {self._digest[:16]}…"
        return [
            f"write {given.path} (mode {given.mode}{owner}): {size}",
            *(f"| {line}" for line in self._data.decode().splitlines()),
        ]

    def where(self, ctx: StepContext) -> str:
        host = self._place(ctx)[1]
        return f"{host} as {self._options.user}" if self._options.user else host

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        try:
            said = await self._do("look", ctx, ctx.ports.clock.monotonic_s() + 5.0)
            ok, result = True, _STATES[said[0]]
        except BcmError as error:
            ok, result = False, error.what
        return [
            Precheck(
                what=f"{self._options.path} can be written",
                how="follow its directory, and compare it with `daemon.file_directories`",
                ok=ok,
                result=result,
                why="the step writes it",
                if_failed="make the directory, or allow it in the estate",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            said = await self._do("write", ctx, deadline_s)
        except _UnsettledError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(str(error))
        if said[0] != "there":
            return StepResult.failed(f"{self._options.path} was written, and is another now")
        return StepResult.ok(self._text(said), **self._found(said))

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            said = await self._do("look", ctx, deadline_s)
        except BcmError as error:
            return Reconciled.unknown(str(error))
        if said[0] == "there":
            return Reconciled.done(self._text(said), **self._found(said))
        return Reconciled.not_done(f"{self._options.path} is {said[0]}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            said = await self._do("undo", ctx, deadline_s)
        except _UnsettledError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(str(error))
        gone = said[0] == "missing"
        return StepResult.ok(f"{self._options.path} is {'not there' if gone else 'as it was'}")

    async def _do(self, verb: Verb, ctx: StepContext, deadline_s: float) -> list[str]:
        """[there | other | missing, begun | untouched]. Raises BcmError; _UnsettledError where it may have
        been done."""
        given = self._options
        access, host = self._place(ctx)
        allowed = ctx.estate.daemon.file_directories
        if not any(PurePosixPath(given.path).is_relative_to(directory) for directory in allowed):
            known = ", ".join(map(str, allowed)) or "none"
            raise RunbookError(
                f"{given.path} is not below a directory in which files may be written",
                hint=f"`daemon.file_directories` allows: {known}",
            )
        words = [verb, given.path, given.mode, given.owner, self._digest, signature(ctx)]
        result = await access.run(
            ["sh", "-c", SCRIPT, "sh", *words, *map(str, allowed)],
            timeout_s=ctx.left_s(deadline_s),
            user=given.user or None,
            stdin=self._data if verb == "write" else None,
        )
        return _lines(result, host)

    def _place(self, ctx: StepContext) -> tuple[NodeAccess, str]:
        """(access, its name for people). Raises BcmError."""
        given = self._options
        if not given.node and not given.member:
            return ctx.ports.here, "this host"
        where = NodeOptions(node=given.node, member=given.member)
        return access_to(ctx, where), f"node {node_name(ctx, where)}"

    def _text(self, said: list[str]) -> str:
        how = "is so" if said[1] == "begun" else "was so before"
        return f"{self._options.path} {how}: {len(self._data)} bytes"

    def _found(self, said: list[str]) -> dict[str, str | int | bool]:
        return {"digest": self._digest, "bytes": len(self._data), "changed": said[1] == "begun"}


class _UnsettledError(NodeAccessError):
    """It was begun, and nobody knows what came of it."""


def _lines(result: CommandResult, host: str) -> list[str]:
    said = one_line(result.stderr)
    if result.exit_code is None:
        raise _UnsettledError(f"it did not end in time: {said}", where=host)
    if result.exit_code in _REFUSED:
        raise RunbookError(said, where=host)
    lines = result.stdout.split()
    if result.exit_code != 0 or len(lines) != 2:
        raise NodeAccessError(f"it could not be done: {said or result.exit_code}", where=host)
    return lines
