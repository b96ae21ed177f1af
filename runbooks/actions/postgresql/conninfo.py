"""Where a standby streams from: `primary_conninfo`, never with a secret in it (POSTGRESQL P18)."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from config.schema import PostgresqlMember, PostgresqlService
from model.errors import BcmError

_SECRETS = ("password", "sslpassword")
_ADDRESS = ("host", "hostaddr", "port")


def refuse_secret(conninfo: str, member: str) -> None:
    """Raises BcmError if a password is in it: what this product writes shows in logs and in auto.conf."""
    if any(name in _parsed(conninfo, member) for name in _SECRETS):
        raise BcmError(
            "its primary_conninfo contains a password, which this product never writes",
            where=member,
            hint="put the password into a passfile and set primary_conninfo without it",
        )


def conninfo_for(
    member: PostgresqlMember,
    upstream: PostgresqlMember,
    service: PostgresqlService,
    previous: str | None = None,
) -> str:
    """For `member` to stream from `upstream`: the previous conninfo with another address, which keeps what
    its administrator set; without a previous one, made of the estate. Raises BcmError."""
    if previous:
        refuse_secret(previous, member.name)
        known = {k: v for k, v in _parsed(previous, member.name).items() if k not in _ADDRESS}
    else:
        known = _from_estate(member, service)
    known["application_name"] = member.application_name
    return make_conninfo(host=upstream.host, port=upstream.port, **known)


def _from_estate(member: PostgresqlMember, service: PostgresqlService) -> dict[str, str]:
    settings = service.postgresql
    known = {"user": settings.roles.replication.user}
    if member.passfile is not None:
        known["passfile"] = str(member.passfile)
    if settings.sslmode != "prefer":  # libpq's own default is not repeated
        known["sslmode"] = settings.sslmode
    if settings.sslrootcert is not None:
        known["sslrootcert"] = str(settings.sslrootcert)
    return known


def _parsed(conninfo: str, member: str) -> dict[str, str]:
    try:
        return {k: str(v) for k, v in conninfo_to_dict(conninfo).items() if v is not None}
    except psycopg.ProgrammingError:
        # libpq's text would repeat the conninfo.
        raise BcmError("its primary_conninfo can't be read", where=member) from None
