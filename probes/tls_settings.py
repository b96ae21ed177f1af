"""How a probe checks whom it speaks to over TLS, and who it says that it is."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from typing import Self

from cryptography import x509
from pydantic import Field, field_validator, model_validator

from model.errors import UsageError
from probes.base import ProbeOptions


class TlsOptions(ProbeOptions):
    """What every type that can speak TLS takes."""

    verify: bool = Field(True, description="Check the server's certificate: its issuer, name and dates.")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities to trust, instead of the system's."
    )
    server_name: str = Field("", description="Name asked for and checked in TLS; the host, if empty.")
    client_certificate: Path | None = Field(
        None, description="PEM file of the certificate to show, with its chain, for servers that ask for one."
    )
    client_key: Path | None = Field(
        None, description="PEM file of its key, without a passphrase; in the same file, if left out."
    )

    @field_validator("ca_file", "client_certificate", "client_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path of a PEM file")
        return value

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("`client_key` is the key of a `client_certificate`; give both")
        return self


def tls_context(options: TlsOptions, target: str, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Raises UsageError where a file can't be read."""
    files = (options.ca_file, options.client_certificate, options.client_key)
    try:
        # With the files' times, so that a reload takes renewed ones up.
        return _context(options.verify, *((f, _changed_ns(f)) for f in files), alpn)
    except OSError as exc:
        named = ", ".join(str(file) for file in files if file is not None) or "the system's authorities"
        raise UsageError(
            f"the certificates in {named} can't be used: {exc}",
            where=target,
            hint="name PEM files that this user may read",
        ) from exc


_File = tuple[Path | None, int]


@functools.lru_cache(maxsize=64)
def _context(
    verify: bool, ca: _File, certificate: _File, key: _File, alpn: tuple[str, ...]
) -> ssl.SSLContext:
    """One for all probes that check alike: reading the system's authorities takes tens of milliseconds."""
    context = ssl.create_default_context(cafile=None if ca[0] is None else str(ca[0]))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate[0] is not None:
        # An empty passphrase: a key that needs one is an error, and never a question on a terminal.
        context.load_cert_chain(certificate[0], key[0], password="")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _changed_ns(file: Path | None) -> int:
    return 0 if file is None else file.stat().st_mtime_ns


def certificate_facts(certificate: bytes | None) -> dict[str, int]:
    """Of a certificate in DER: `certificate_ends_s`, seconds since 1970."""
    if certificate is None:
        return {}
    try:
        ends = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    except ValueError:  # one that OpenSSL took and this parser does not
        return {}
    return {"certificate_ends_s": int(ends.timestamp())}
