"""Who may act, and how someone is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from config.base import EstateModel, KeyedName
from config.durations import PositiveSeconds


class Person(EstateModel):
    """Someone who may request and approve; `os_users` are the accounts that map to this person."""

    id: KeyedName = Field("", exclude=True)
    name: str = Field(min_length=1, description="As it stands in reports.")
    os_users: tuple[str, ...] = Field(
        (), description="Accounts on the ops host that are this person. An account belongs to one person."
    )
    contact: str = Field("", description="For people.")


def _is_web_address(value: str) -> str:
    if not value.startswith(("http://", "https://")) or any(c.isspace() for c in value):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value


class AlertmanagerPager(EstateModel):
    """Pages as alerts to Alertmanager's API v2."""

    url: Annotated[str, AfterValidator(_is_web_address)] = Field(
        description="Base URL of Alertmanager, e.g. http://127.0.0.1:9093; without user and password."
    )
    labels: Mapping[str, str] = Field({}, description="Added to every alert, for its routing.")


class ExecPager(EstateModel):
    """Pages by a program of yours."""

    command: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments; the page comes as JSON on stdin."
    )
    timeout: PositiveSeconds = Field(10.0, description="After it the program is killed and tried again.")


class Pager(EstateModel):
    """How a hold or a page reaches someone. Both ways may be used."""

    alertmanager: AlertmanagerPager | None = Field(None, description="Push to Alertmanager.")
    exec: ExecPager | None = Field(None, description="Run a program.")
    # A page is worth retrying for as long as an incident may last, and no longer than a night.
    give_up: PositiveSeconds = Field(43200.0, description="How long the delivery of a page is tried.")
