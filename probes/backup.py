"""Probe type `backup`: how old is the newest good backup?

It is found by its file, or by what the backup program says of its catalogue. That a backup is there does not
mean that it can be restored: only a restore shows that.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from config.durations import PositiveSeconds, Seconds, format_duration
from model.errors import NodeAccessError
from model.observation import Failure, Layer
from model.ports import CommandResult
from probes.backup_files import (
    MOST_LISTED,
    UNFINISHED,
    Listing,
    ListingError,
    checked_pattern,
    listing_command,
    read_listing,
)
from probes.backup_times import TimeFormat, TimesError, parse_selection, times_in_json, times_in_lines
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.captured import OUTPUT_BYTES
from probes.plugin_process import PluginProcess
from probes.texts import one_line
from probes.threads import AllBusyError, BoundedThreads
from probes.trace import note

# Of all probes of this type on this host: directories on a dead file server keep their thread.
MOST_AT_ONCE = 8
# The verdict falls at the probe's own deadline; this ends what would go on behind it.
LIMIT_S = 300.0
# Clocks that are kept by NTP agree far better; one that is further off makes every age a guess.
MOST_AHEAD_S = 300
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}

_threads = BoundedThreads("backup probe", MOST_AT_ONCE)


class BackupOptions(ProbeOptions):
    """How the newest backup is found, where, and how old it may be."""

    max_age: PositiveSeconds = Field(description="The oldest that the newest good backup may be.")
    where: Literal["node", "controller"] = Field(
        "node", description="Look on the probe's `node`, or on the controller's own host, as its own account."
    )
    os_user: str | None = Field(
        None, description="Account on the node that looks; the one that logs in, if left out."
    )

    files: str = Field(
        "",
        description="Pattern of the backups' files: an absolute path with *, ?, [a-z], and ** for any "
        "directories. For a directory, name the file that is written last, as /backups/*/backup_manifest.",
    )
    min_bytes: Annotated[int, Field(ge=0)] = Field(
        1, description="A smaller file is no backup: the program was ended, or the disk was full."
    )
    ignore: tuple[str, ...] = Field(
        UNFINISHED, description="Names of files that are not finished. Hidden ones count if `files` says so."
    )
    settled: Seconds = Field(
        60.0, description="A file that was written to within this time is not finished yet."
    )

    command: tuple[str, ...] = Field(
        (),
        description="A program and its arguments, as a list, that prints when the backups ended: a time a "
        "line, or JSON. There is no shell. As [pgbackrest, info, --output=json].",
    )
    json_path: str = Field(
        "",
        description="Where the times are in its JSON: [0].backup[error=false].timestamp.stop for pgbackrest, "
        "main[status=DONE].end_time_timestamp for barman's server main. [*] is all, [KEY=VALUE] those of "
        "which that holds.",
    )
    format: TimeFormat = Field(
        "auto",
        description="unix: seconds since 1970; unix_ms: milliseconds; iso: ISO 8601; auto: seconds or ISO.",
    )
    timezone: str = Field(
        "UTC", description="Of printed times that name none, as Europe/Paris. Others, and files, need none."
    )

    @field_validator("files")
    @classmethod
    def _a_pattern(cls, files: str) -> str:
        return checked_pattern(files) if files else ""

    @field_validator("ignore")
    @classmethod
    def _names(cls, ignore: tuple[str, ...]) -> tuple[str, ...]:
        for name in ignore:
            if not name or "/" in name:
                raise ValueError(f"`ignore` has patterns of names, without directories, not {name!r}")
        return ignore

    @field_validator("json_path")
    @classmethod
    def _a_path(cls, json_path: str) -> str:
        parse_selection(json_path)
        return json_path

    @field_validator("timezone")
    @classmethod
    def _a_zone(cls, timezone: str) -> str:
        try:
            _zone(timezone)
        except (ZoneInfoNotFoundError, OSError, ValueError) as exc:
            raise ValueError(f"not a time zone that this host knows: {timezone!r}; as Europe/Paris") from exc
        return timezone

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.files) == bool(self.command):
            raise ValueError("give `files` or `command`: the one or the other")
        if self.os_user is not None and self.where == "controller":
            raise ValueError("`os_user` is for a node; on the controller's host its own account looks")
        if self.files and (self.json_path or self.format != "auto"):
            raise ValueError("`json_path` and `format` are for what a `command` prints")
        if self.command and not self.command[0]:
            raise ValueError("`command` begins with the name of a program")
        if any("\0" in argument for argument in self.command):
            raise ValueError("an argument holds no NUL character")
        if self.files and self.settled >= self.max_age:
            raise ValueError("`settled` is shorter than `max_age`: else no file could ever be good")
        return self


class BackupProbe(Probe):
    """The age of the newest good backup, by its file or by its program's catalogue.

    Facts: `backup_age_s`; `backup_at_s`, seconds since 1970; of a file also `name` (its path) and
    `size_bytes`.

    None, or one that is too old, is a bad answer. What could not be looked at, and a backup that is more than
    5 minutes ahead of the clock, is unknown. Files are compared with the clock of the host that has them,
    printed times with this host's.
    """

    type: ClassVar[str] = "backup"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = BackupOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, BackupOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._selection = parse_selection(options.json_path)
        self._zone = _zone(options.timezone)

    async def check(self) -> Reading:
        options = self._options
        if options.command:
            argv = list(options.command)
        else:
            argv = listing_command(options.files, min_bytes=options.min_bytes, ignore=options.ignore)
        try:
            result = await (self._run_here(argv) if options.where == "controller" else self._run_there(argv))
        except NodeAccessError as exc:
            return Reading.unknown(None, f"{exc.where}: {exc.what}" if exc.where else exc.what)
        except AllBusyError as exc:
            return Reading.unknown(Failure.LOCAL, f"looks of `backup` probes: {exc}")
        except OSError as exc:
            return Reading.unknown(Failure.LOCAL, f"{argv[0]} can't be started: {exc.strerror}")
        note(
            "exit status %s after %.0f ms, %d characters",
            result.exit_code,
            result.took_s * 1000,
            len(result.stdout),
        )
        try:
            return self._of_command(result) if options.command else self._of_files(result)
        except (ListingError, TimesError) as exc:
            errors = one_line(result.stderr)
            return Reading.unknown(None, f"{exc} ({errors})" if errors else str(exc))

    async def _run_here(self, argv: list[str]) -> CommandResult:
        """Raises AllBusyError and OSError."""
        process = PluginProcess(OUTPUT_BYTES)
        clock = self.ports.clock
        note("running on this host: %s", one_line(" ".join(argv), 500))
        began_s = clock.monotonic_s()
        try:
            ended = await _threads.start(lambda: process.run(argv, _ENVIRONMENT))
        except asyncio.CancelledError:
            process.stop()
            raise
        return CommandResult(
            ended.status, ended.output, ended.errors or ended.why, clock.monotonic_s() - began_s
        )

    async def _run_there(self, argv: list[str]) -> CommandResult:
        """Raises NodeAccessError."""
        node, user = self.ports.node, self._options.os_user
        if node is None:
            # Never this host instead: what lies here says nothing of what lies there.
            raise NodeAccessError(
                "no access to a node: give the probe a `node` whose `access` is ssh or local, or set "
                "`where: controller`"
            )
        note("running on the node: %s", one_line(node.describe(argv, user=user), 500))
        return await node.run(argv, timeout_s=LIMIT_S, user=user)

    def _of_files(self, result: CommandResult) -> Reading:
        """Raises ListingError."""
        listing = read_listing(result.stdout)
        errors = one_line(result.stderr)
        note("%d files fit %s", len(listing.files), self._options.files)
        # Where nothing need settle, a clock that is a little ahead makes no file an unfinished one either.
        settled_s = int(self._options.settled) or -MOST_AHEAD_S
        for file in listing.files[:10]:
            note("%s: %d bytes, %d s old", file.path, file.size_bytes, listing.now_s - file.changed_s)
        newest = listing.files[0] if listing.files else None
        if newest is not None and newest.changed_s > listing.now_s + MOST_AHEAD_S:
            return _ahead(newest.path, newest.changed_s - listing.now_s)
        good = next((file for file in listing.files if file.changed_s <= listing.now_s - settled_s), None)
        if good is not None:
            facts = {"name": good.path, "size_bytes": good.size_bytes}
            reading = self._judged(good.path, good.changed_s, listing.now_s, facts)
            if reading.failure is None or listing.complete:
                return reading
            return Reading.unknown(None, f"not everything could be read: {errors}", **reading.facts)
        return self._no_good_file(listing, errors)

    def _no_good_file(self, listing: Listing, errors: str) -> Reading:
        if not listing.complete:
            return Reading.unknown(None, f"the files can't be looked at: {errors or 'find says no more'}")
        if not listing.files:
            text = f"no file of at least {self._options.min_bytes} bytes fits {self._options.files}"
            return Reading.failed(Failure.BAD_ANSWER, text)
        count = f"{MOST_LISTED} or more" if len(listing.files) == MOST_LISTED - 1 else str(len(listing.files))
        settled = format_duration(self._options.settled)
        return Reading.unknown(None, f"all files that fit ({count}) were written to within {settled}")

    def _of_command(self, result: CommandResult) -> Reading:
        """Raises TimesError."""
        if result.exit_code != 0:
            how = "did not end" if result.exit_code is None else f"ended with exit status {result.exit_code}"
            said = one_line(result.stderr or result.stdout)
            return Reading.unknown(None, f"{self._options.command[0]} {how}: {said}")
        format_ = self._options.format
        if self._selection:
            times_s = times_in_json(result.stdout, self._selection, format_, self._zone)
        else:
            times_s = times_in_lines(result.stdout, format_, self._zone)
        note("%d times were read", len(times_s))
        if not times_s:
            text = f"there is no backup: nothing fits {self._options.json_path}"
            return Reading.failed(Failure.BAD_ANSWER, text)
        now_s = int(self.ports.clock.wall_s())
        if max(times_s) > now_s + MOST_AHEAD_S:
            return _ahead("the newest backup", max(times_s) - now_s)
        return self._judged("the newest backup", max(times_s), now_s, {})

    def _judged(self, name: str, at_s: int, now_s: int, facts: dict[str, Any]) -> Reading:
        age_s = max(0, now_s - at_s)
        facts = {"backup_age_s": age_s, "backup_at_s": at_s, **facts}
        text = f"{PurePosixPath(name).name} is {_shown(age_s)} old"
        note("judged: %s", text)
        if age_s > self._options.max_age:
            text = f"{text}; {format_duration(self._options.max_age)} are allowed"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        return Reading.ok(text, **facts)


def _zone(name: str) -> dt.tzinfo:
    """UTC is there on hosts that have no database of time zones, too."""
    return dt.UTC if name == "UTC" else ZoneInfo(name)


def _ahead(name: str, ahead_s: int) -> Reading:
    return Reading.unknown(None, f"{name} is {ahead_s} s ahead of the clock: one of the clocks is wrong")


def _shown(age_s: int) -> str:
    """In the largest unit of which there are two: 30 h, 12 min."""
    for unit, size_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if age_s >= 2 * size_s:
            return f"{age_s // size_s} {unit}"
    return f"{age_s} s"
