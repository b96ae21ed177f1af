"""The table of engines: which class a service is read as, by what it says that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, SerializeAsAny, WrapValidator

from config.base import EstateModel
from config.generic import GenericService
from config.http_pool import HttpService
from config.mariadb import MariadbService
from config.members import Member
from config.postgresql import PostgresqlService
from config.redis import RedisService
from config.services import Service
from model.errors import UsageError

SERVICES: Final[Mapping[str, type[Service]]] = {
    "postgresql": PostgresqlService,
    "mariadb": MariadbService,
    "redis": RedisService,
    "http": HttpService,
    "generic": GenericService,
}


class _EngineAlone(EstateModel):
    """For what no class can be chosen for: nothing but the engine is worth a message."""

    model_config = ConfigDict(extra="ignore")

    engine: Literal["postgresql", "mariadb", "redis", "http", "generic"] = Field(
        description="What the service is made of."
    )


def class_of(written: object) -> type[Service]:
    """Of a service as it stands in the file; `Service` where its engine is missing or not known."""
    engine = written.get("engine") if isinstance(written, dict) else None
    return SERVICES.get(engine, Service) if isinstance(engine, str) else Service


def postgresql_of(service: Service) -> PostgresqlService:
    """For what only works with PostgreSQL. Raises UsageError for a service of another engine."""
    if not isinstance(service, PostgresqlService):
        raise UsageError(f"{service.name} is made of {service.engine}, and this is for postgresql")
    return service


def member_class(service: type[Service]) -> type[Member]:
    """Of its members."""
    kind: type[Member] = get_args(service.model_fields["members"].annotation)[1]
    return kind


def _by_engine(value: Any, handler: ModelWrapValidatorHandler[Service]) -> Service:
    if not isinstance(value, dict):
        return handler(value)
    kind = class_of(value)
    if kind is Service:
        _EngineAlone.model_validate(value)  # raises
    return kind.model_validate(value)


AnyService = Annotated[
    Service,
    SerializeAsAny(),
    WrapValidator(
        _by_engine,
        json_schema_input_type=PostgresqlService
        | MariadbService
        | RedisService
        | HttpService
        | GenericService,
    ),
]
