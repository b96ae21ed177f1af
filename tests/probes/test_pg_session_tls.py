from __future__ import annotations

import datetime as dt
import ipaddress
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from model.observation import Outcome
from probes.pg_connect import PgTarget
from probes.pg_errors import PgError
from probes.pg_readings import reading_of
from probes.pg_session import PgSession
from tests.bad_servers import LOOPBACK, open_sockets
from tests.pg_pair import PASSWORD, PgPair, PgServer, wait_for

pytestmark = pytest.mark.postgres


def certificate(directory: Path, name: str) -> Path:
    """Self-signed, for 127.0.0.1; the key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / f"{name}.crt"
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file = path.with_suffix(".key")
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    key_file.chmod(0o600)
    return path


@pytest.fixture
def tls_server(pg_pair: PgPair) -> Iterator[PgServer]:
    """The primary, with TLS on."""
    server = pg_pair.primary
    own = certificate(server.data_dir, "server")
    if os.geteuid() == 0:
        for path in (own, own.with_suffix(".key")):
            shutil.chown(path, "nobody")
    try:
        server.sql("alter system set ssl = on", "select pg_reload_conf()")
    except psycopg.errors.InvalidParameterValue:
        pytest.skip("this build of the server has no TLS")
    wait_for(lambda: server.sql("show ssl") == "on", "reload")
    yield server
    server.sql("alter system reset ssl", "select pg_reload_conf()")
    wait_for(lambda: server.sql("show ssl") == "off", "reload")


def session(server: PgServer, sslmode: str, root: Path | None = None, user: str = "monitor") -> PgSession:
    root_text = str(root) if root else None
    return PgSession(PgTarget(LOOPBACK, server.port, user, "postgres", "bcm-test", sslmode, root_text))


@pytest.mark.parametrize("sslmode", ["prefer", "require", "verify-ca", "verify-full"])
async def test_a_session_is_encrypted_and_leaves_nothing_behind(tls_server: PgServer, sslmode: str) -> None:
    before = open_sockets()
    root = tls_server.data_dir / "server.crt" if sslmode.startswith("verify") else None
    opened = session(tls_server, sslmode, root)
    await opened.open(PASSWORD)
    statement = "select ssl from pg_stat_ssl where pid = $1"
    assert await opened.query(statement, (opened.backend_pid,)) == [(True,)]
    assert opened.ended() is None
    opened.abort()
    assert open_sockets() <= before


async def test_a_certificate_of_somebody_else_is_refused_and_shows_life(
    tls_server: PgServer, tmp_path: Path
) -> None:
    other = certificate(tmp_path, "other")
    attempt = session(tls_server, "verify-full", other)
    with pytest.raises(PgError, match="certificate") as caught:
        await attempt.open(PASSWORD)
    reading = reading_of(caught.value)
    assert reading.outcome is not Outcome.SUCCEEDED
    assert reading.shows_life


@pytest.mark.parametrize(("user", "sqlstate"), [("crowded", "53300"), ("refused", "28000")])
async def test_the_sqlstate_is_told_where_both_ways_were_tried(
    tls_server: PgServer, user: str, sqlstate: str
) -> None:
    attempt = session(tls_server, "prefer", user=user)
    with pytest.raises(PgError) as caught:
        await attempt.open(PASSWORD)
    assert caught.value.sqlstate == sqlstate


async def test_a_server_without_tls_does_not_satisfy_require(pg_pair: PgPair) -> None:
    attempt = session(pg_pair.primary, "require")
    with pytest.raises(PgError) as caught:
        await attempt.open(PASSWORD)
    assert reading_of(caught.value).shows_life
