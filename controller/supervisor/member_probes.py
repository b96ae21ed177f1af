"""What the probe of a member is told, by the engine of its service."""

from __future__ import annotations

from typing import Any

from config.http_pool import HttpService
from config.mariadb import MariadbService
from config.postgresql import PostgresqlMember, PostgresqlService
from config.redis import RedisService
from config.schema import Member, Service

Options = dict[str, Any]
# Share of a time-out after which a write that is blocked is judged: before the scheduler calls it silence.
_PATIENCE = 0.8


def patience_s(service: Service) -> float:
    """After so long a write that is blocked is judged: before the scheduler would call it silence."""
    profile = service.detection
    return _PATIENCE * min(profile.timeout_s, profile.burst_timeout_s)


def options_of(service: Service, member: Member, *, node_access: bool, writes: bool) -> Options:
    """node_access: commands can be run on its node. writes: it is the primary, and to be written to as well;
    where that needs a probe of its own (see `canary_options`), nothing changes."""
    if isinstance(service, PostgresqlService):
        return _postgresql(service, service.members[member.name], node_access=node_access)
    if isinstance(service, MariadbService):
        return _mariadb(service, member, writes=writes)
    if isinstance(service, RedisService):
        return _redis(service, member, writes=writes)
    if isinstance(service, HttpService):
        return _http(service, member)
    raise TypeError(f"members of {service.engine} have no probe of their own")


def canary_options(service: PostgresqlService, member: PostgresqlMember) -> Options:
    return {**_pg_session(service, member), "answer_within_s": patience_s(service)}


def writes_on_primary(service: Service) -> bool:
    """The probe of the primary itself is told to write."""
    if isinstance(service, MariadbService):
        return bool(service.mariadb.write_table)
    return isinstance(service, RedisService) and bool(service.redis.write_key)


def _pg_session(service: PostgresqlService, member: PostgresqlMember) -> Options:
    settings = service.postgresql
    return {
        "host": member.host,
        "port": member.port,
        "user": settings.roles.monitor.user,
        "password": settings.roles.monitor.password,
        "database": settings.canary_database,
        "sslmode": settings.sslmode,
        "sslrootcert": str(settings.sslrootcert) if settings.sslrootcert else None,
    }


def _postgresql(service: PostgresqlService, member: PostgresqlMember, *, node_access: bool) -> Options:
    options = _pg_session(service, member)
    if node_access:
        options["data_dir"] = str(member.data_dir)
        options["wal_dir"] = str(member.wal_dir) if member.wal_dir else None
        options["os_user"] = member.os_user
    return options


def _mariadb(service: MariadbService, member: Member, *, writes: bool) -> Options:
    settings = service.mariadb
    options: Options = {
        "host": member.host,
        "port": member.port,
        "user": settings.monitor.user,
        "password": settings.monitor.password,
        "tls": settings.tls,
    }
    if writes and settings.write_table:
        options |= {
            "write_table": settings.write_table,
            "write_within": f"{round(patience_s(service) * 1000)}ms",
        }
    return options


def _redis(service: RedisService, member: Member, *, writes: bool) -> Options:
    settings = service.redis
    options: Options = {
        "host": member.host,
        "port": member.port,
        "user": settings.user,
        "password": settings.password,
        "tls": settings.tls,
    }
    if writes and settings.write_key:
        options["write_key"] = settings.write_key
    return options


def _http(service: HttpService, member: Member) -> Options:
    settings = service.http
    host = f"[{member.host}]" if ":" in member.host else member.host
    options: Options = {
        "url": f"{settings.scheme}://{host}:{member.port}{settings.path}",
        "status": settings.status,
        "body": settings.body,
        "verify": settings.verify,
    }
    if settings.host_header:
        options["headers"] = {"Host": settings.host_header}
    return options
