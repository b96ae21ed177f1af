"""Settings of the daemon itself."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from config.base import AbsolutePath, EstateModel, Name
from config.durations import PositiveSeconds
from config.secrets import SecretRef

# sun_path holds 108 bytes with its end mark.
_SOCKET_PATH_BYTES = 107
_HOST_PATTERN = re.compile(r"[A-Za-z0-9*:._-]{1,255}")


def _is_target_pattern(value: str) -> str:
    if "/" in value:
        try:
            ip_network(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no network: {error}") from None
    elif not _HOST_PATTERN.fullmatch(value):
        raise ValueError(f"{value!r} must be a network (10.0.0.0/8) or a host name, in which * is any text")
    return value.lower()


TargetPattern = Annotated[str, AfterValidator(_is_target_pattern)]


class FailoverBudget(EstateModel):
    """S1: automatic failovers in a window, across the whole estate. More than a few at once is a common cause
    that failovers do not mend."""

    count: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        3, description="Automatic failovers that are allowed in the window."
    )
    per: PositiveSeconds = Field(3600.0, description="The window.")


class Retention(EstateModel):
    """How long files beside the journal are kept after what they belong to was closed. The journal's own
    records stay for ever; that a file was deleted, and its digest, is one of them."""

    outputs: PositiveSeconds | None = Field(
        None, description="Whole outputs of steps; without a time they stay for ever."
    )
    facts: PositiveSeconds | None = Field(
        None, description="Raw observations of incidents; without a time they stay for ever."
    )


class DaemonSettings(EstateModel):
    """Where the daemon keeps its state and how it is reached."""

    name: Name = Field("bcm-failover", description="Of this controller, in records and in pages.")
    site: Name | None = Field(
        None,
        description="Where this controller stands: one of `sites`. Where `observers` are declared it stands "
        "there instead.",
    )
    state_dir: AbsolutePath = Field(
        Path("/var/lib/bcm-failover"),
        description="The journal and its anchor: on a disk that outlives a reboot.",
    )
    socket: AbsolutePath = Field(Path("/run/bcm-failover/admin.sock"), description="Admin socket, mode 0660.")
    socket_group: str = Field("bcm-operators", description="Group of the socket: its members may operate.")
    http: str = Field(
        "127.0.0.1:9977",
        pattern=r"^\S*:\d{1,5}$",
        description="ADDRESS:PORT of /metrics and the checks; port 0 takes a free one.",
    )
    push_token: SecretRef | None = Field(
        None,
        description="Bearer token of what is pushed to this daemon: Alertmanager's webhook, heartbeats. "
        "Without it nothing is taken.",
    )
    probe_endpoint: tuple[TargetPattern, ...] = Field(
        (),
        description="Targets that `/probe` may be asked for: networks (10.0.0.0/8) and host names with "
        "wildcards (*.example.com). Without any, `/probe` is off.",
    )
    file_directories: tuple[AbsolutePath, ...] = Field(
        (),
        description="Directories under which runbooks may write files (`file.render`), on this host and on "
        "nodes. Without any, none is written.",
    )
    runbook_dirs: tuple[AbsolutePath, ...] = Field(
        (),
        description="Directories with runbooks of your own (NAME.yaml). One that is called like a shipped "
        "one takes its place; `bcm-failover runbook new` makes a copy to edit.",
    )
    retention: Retention = Field(Retention(), description="How long files beside the journal are kept.")
    failover_budget: FailoverBudget = Field(
        FailoverBudget(), description="Limit of automatic failovers across the estate (S1)."
    )
    reference_targets: tuple[str, ...] = Field(
        (),
        description="HOST:PORT that answer if this host's own network works (S6): a router, a DNS server.",
    )

    @field_validator("socket")
    @classmethod
    def _short(cls, value: Path) -> Path:
        if len(str(value).encode(errors="replace")) > _SOCKET_PATH_BYTES:
            raise ValueError(f"must be {_SOCKET_PATH_BYTES} bytes or shorter: the system's limit for sockets")
        return value

    @field_validator("file_directories")
    @classmethod
    def _some_directory(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for directory in value:
            if ".." in directory.parts or len(directory.parts) < 2:
                raise ValueError(f"must be directories below /, without `..`: {directory}")
        return value

    @field_validator("http")
    @classmethod
    def _port(cls, value: str) -> str:
        if int(value.rpartition(":")[2]) > 65535:
            raise ValueError("the port must be 65535 or less")
        return value

    @field_validator("reference_targets")
    @classmethod
    def _targets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for target in value:
            host, _, port = target.rpartition(":")
            if not host or not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
                raise ValueError("each must be HOST:PORT, e.g. 10.0.0.1:53")
        return value
