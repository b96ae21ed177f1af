"""Certificates of a small authority, and TLS servers that show them, for tests."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
# So that a number of whole days is the same all the time that the tests take.
NOON = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=12)


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and those of its issuers."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple[Made, ...] = field(default=())

    @property
    def ends_s(self) -> int:
        return int(self.certificate.not_valid_after_utc.timestamp())

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make(
    name: str, issuer: Made | None = None, *, days: int = 90, begins: int = -30, ca: bool = False
) -> Made:
    """Valid from `begins` to `days` and a half from now, in days; signed by itself without `issuer`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.certificate.subject if issuer else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOON + dt.timedelta(days=begins))
        .not_valid_after(NOON + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    made = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    above = (issuer, *issuer.issuers) if issuer else ()
    return Made(made, key, above)


def context_of(root: Path, made: Made) -> ssl.SSLContext:
    """Of a server that shows `made` and the intermediates, without the root."""
    file = root / f"{made.certificate.serial_number}.pem"
    private = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sent = [made, *(issuer for issuer in made.issuers if issuer.issuers)]
    file.write_bytes(private + b"".join(one.pem() for one in sent))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def serving_tls(context: ssl.SSLContext) -> AsyncIterator[int]:
    """The port of a server that only shakes hands."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        writer.transport.abort()

    async with _serving(handle, context) as port:
        yield port


@asynccontextmanager
async def serving_starttls(
    context: ssl.SSLContext, prelude: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[int]:
    """The port of a server that says `prelude` in the clear, and then shakes hands."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await prelude(reader, writer)
            await writer.drain()
            await writer.start_tls(context)
            await reader.read()
        writer.transport.abort()

    async with _serving(handle) as port:
        yield port


@asynccontextmanager
async def _serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None]] = set()

    async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await handle(reader, writer)
        writer.transport.abort()
        tasks.discard(task)

    server = await asyncio.start_server(kept, LOOPBACK, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        while tasks:
            await asyncio.sleep(0)
        await server.wait_closed()
