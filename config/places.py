"""Sites and nodes: where things stand and how a node is reached."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from config.base import AbsolutePath, Address, EstateModel, Flag, KeyedName, Name, Port
from config.secrets import SecretRef


class SiteRole(StrEnum):
    PRIMARY = "primary"
    STANDBY = "standby"
    DR = "dr"
    WITNESS = "witness"


class Site(EstateModel):
    """A place."""

    name: KeyedName = Field("", exclude=True)
    role: SiteRole = Field(
        description="primary, standby (local), dr (a switch to it is asked for) or witness (observes only)."
    )
    description: str = Field("", description="For people.")


class SshAccess(EstateModel):
    """Node access over ssh with a key; the host key must be known."""

    user: str = Field("bcm-failover", min_length=1, description="Login on the node.")
    port: Port = Field(22, description="Port of sshd.")
    key: SecretRef | None = Field(None, description="Private key; without it the ssh agent is asked.")
    known_hosts: AbsolutePath = Field(
        Path("/etc/bcm-failover/known_hosts"),
        description="Host keys; an unknown or changed one is refused.",
    )
    sudo: Flag = Field(True, description="Change to a member's os_user by `sudo -n -u`.")


class Node(EstateModel):
    """A host at a site."""

    name: KeyedName = Field("", exclude=True)
    site: Name = Field(description="One of `sites`.")
    address: Annotated[Address, Field(min_length=1)] = Field(description="IP address or host name.")
    access: Literal["local", "ssh", "none"] = Field(
        "none",
        description="How commands are run there: local (this host), ssh, or none. Without access the old "
        "primary can't be stopped or rejoined, and disks are not watched.",
    )
    ssh: SshAccess = Field(SshAccess(), description="For access ssh.")
    ping: Flag = Field(False, description="Probe the host by ICMP too: tells a hung server from a dead host.")
