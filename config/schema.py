"""The estate as values: what a user declares, validated. Names are the keys of the file's mappings.

Durations are seconds (float) once loaded. Every default carries its reason. The parts are in files of their
own, by concept; all of them can be imported from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from config.alerts import AlertRule, Alerts
from config.approvals import ApprovalRule, ServiceApproval
from config.base import Address, EstateModel, Name, Port
from config.credentials import Credential
from config.daemon import DaemonSettings, FailoverBudget
from config.endpoints import DsnEndpoint
from config.engines import AnyService, class_of, member_class
from config.generic import GenericService
from config.http_pool import HttpMember, HttpService
from config.inspection import Inspection
from config.levels import LevelDuties, LevelRule, Levels
from config.mariadb import MariadbMember, MariadbService
from config.members import Member, MemberRole
from config.modules import ProbeModule
from config.observers import Observer
from config.people import AlertmanagerPager, ExecPager, Pager, Person
from config.places import Node, Site, SiteRole, SshAccess
from config.postgresql import (
    Control,
    PostgresqlMember,
    PostgresqlRoles,
    PostgresqlService,
    PostgresqlSettings,
)
from config.probes import ProbeEntry
from config.redis import RedisMember, RedisService
from config.services import Importance, Objectives, Service, ServiceMode
from config.warnings import WarningThresholds

__all__ = [
    "Address",
    "AlertRule",
    "AlertmanagerPager",
    "Alerts",
    "ApprovalRule",
    "Control",
    "Credential",
    "DaemonSettings",
    "DsnEndpoint",
    "Estate",
    "ExecPager",
    "FailoverBudget",
    "GenericService",
    "HttpMember",
    "HttpService",
    "Importance",
    "Inspection",
    "LevelDuties",
    "LevelRule",
    "Levels",
    "MariadbMember",
    "MariadbService",
    "Member",
    "MemberRole",
    "Name",
    "Node",
    "Objectives",
    "Observer",
    "Pager",
    "Person",
    "Port",
    "PostgresqlMember",
    "PostgresqlRoles",
    "PostgresqlService",
    "PostgresqlSettings",
    "ProbeEntry",
    "ProbeModule",
    "RedisMember",
    "RedisService",
    "Service",
    "ServiceApproval",
    "ServiceMode",
    "Site",
    "SiteRole",
    "SshAccess",
    "WarningThresholds",
]

# Section of named entries → the field that takes the name from the key.
KEYED_SECTIONS = {
    "sites": "name",
    "nodes": "name",
    "people": "id",
    "observers": "name",
    "services": "name",
    "probes": "name",
    "probe_modules": "name",
}


class Estate(EstateModel):
    """All that the configuration declares."""

    config_version: Literal[1] = Field(alias="configVersion", description="Version of this format: 1.")
    daemon: DaemonSettings = Field(DaemonSettings(), description="The daemon itself.")
    sites: Mapping[Name, Site] = Field(min_length=1, description="Places, by name.")
    nodes: Mapping[Name, Node] = Field(min_length=1, description="Hosts, by name.")
    people: Mapping[Name, Person] = Field({}, description="Who may request and approve, by id.")
    observers: Mapping[Name, Observer] = Field(
        {},
        description="The controllers that observe, by the name that each runs under, this one among them. "
        "Without any, this one observes alone.",
    )
    levels: Levels = Field(Levels(), description="How grave an incident is, and what follows for people.")
    pager: Pager = Field(Pager(), description="How someone is told.")
    services: Mapping[Name, AnyService] = Field(min_length=1, description="Services, by name.")
    probes: Mapping[Name, ProbeEntry] = Field({}, description="Checks beside the engines' own, by name.")
    probe_modules: Mapping[Name, ProbeModule] = Field(
        {}, description="What `/probe` checks of a target, beside the modules that are built in."
    )
    warnings: WarningThresholds = Field(WarningThresholds(), description="Thresholds of early warnings.")
    alerts: Alerts = Field(Alerts(), description="What Alertmanager's alerts say.")
    inspection: Inspection = Field(Inspection(), description="Every check at once, at set times.")

    @model_validator(mode="before")
    @classmethod
    def _names_from_keys(cls, value: Any) -> Any:
        """Each entry learns its own name, and members what they take from their node."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        for section, field in KEYED_SECTIONS.items():
            if section in value:
                value[section] = _named(value[section], field)
        services = value.get("services")
        for service in services.values() if isinstance(services, dict) else ():
            if not isinstance(service, dict) or "members" not in service:
                continue
            service["members"] = _named(service["members"], "name")
            members = service["members"]
            has_application_names = "application_name" in member_class(class_of(service)).model_fields
            for name, member in members.items() if isinstance(members, dict) else ():
                if isinstance(member, dict):
                    # Nothing but a missing or empty text is filled in: what is wrong must be reported.
                    if member.get("host", "") == "":
                        member["host"] = _address(value, member.get("node"))
                    if has_application_names and member.get("application_name", "") == "":
                        member["application_name"] = name
        return value

    def service(self, name: str) -> Service:
        """Raises KeyError."""
        return self.services[name]

    def site_of(self, member: Member) -> Site:
        return self.sites[self.nodes[member.node].site]

    @property
    def other_observers(self) -> dict[str, Observer]:
        """All but this controller, by name."""
        return {name: o for name, o in self.observers.items() if name != self.daemon.name}

    @property
    def own_site(self) -> str | None:
        """Where this controller stands; None where nobody has said."""
        own = self.observers.get(self.daemon.name)
        return own.site if own is not None else self.daemon.site

    def person_of(self, os_user: str) -> Person | None:
        return next((p for p in self.people.values() if os_user in p.os_users), None)

    def all_members(self) -> Iterator[tuple[Service, Member]]:
        for service in self.services.values():
            for member in service.members.values():
                yield service, member


def _named(section: Any, field: str) -> Any:
    if not isinstance(section, dict):
        return section
    named = {}
    for key, item in section.items():
        if isinstance(item, dict):
            if item.get(field, key) != key:
                raise ValueError(f"{key}: {field!r} is taken from the key and can't be given")
            item = {**item, field: key}  # noqa: PLW2901
        named[key] = item
    return named


def _address(estate: Mapping[str, Any], node: Any) -> str:
    nodes = estate.get("nodes")
    entry = nodes.get(node) if isinstance(nodes, dict) and isinstance(node, str) else None
    address = entry.get("address", "") if isinstance(entry, dict) else ""
    return address if isinstance(address, str) else ""
