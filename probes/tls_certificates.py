"""The certificates that a TLS peer showed, and what a probe says of them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Final

from cryptography import x509

from probes.texts import one_line

_DER: Final = 2  # as `ssl` itself asks for it; its name is in the private module
_MOST = 20  # certificates of a chain that are looked at; OpenSSL takes ten by default
_MOST_NAMES = 50


def shown_chain(secure: ssl.SSLSocket, *, verified: bool) -> list[x509.Certificate]:
    """The peer's certificate first, then its issuers.

    verified: those that it was checked by, rather than all that the peer sent: servers go on sending
    intermediates that have expired and that nobody needs any more.
    """
    found = _chain(secure, "get_verified_chain" if verified else "get_unverified_chain")
    if not found:
        leaf = secure.getpeercert(binary_form=True)
        found = [leaf] if leaf else []
    readable = []
    for der in found[:_MOST]:
        try:
            readable.append(x509.load_der_x509_certificate(der))
        except ValueError:  # one that OpenSSL took and this parser does not
            continue
    return readable


def _chain(secure: ssl.SSLSocket, method: str) -> list[bytes]:
    """Public since Python 3.13, which gives bytes; before it there are objects behind a private name. Empty
    where neither is."""
    holder = secure if hasattr(secure, method) else getattr(secure, "_sslobj", None)
    get = getattr(holder, method, None)
    found: Sequence[Any] = (get() or ()) if get is not None else ()
    return [item if isinstance(item, bytes) else item.public_bytes(_DER) for item in found]


def facts_of_chain(chain: Sequence[x509.Certificate]) -> dict[str, Any]:
    """`certificate_ends_s` of whichever ends first; the rest of the peer's own."""
    if not chain:
        return {}
    leaf = chain[0]
    return {
        "certificate_ends_s": min(int(one.not_valid_after_utc.timestamp()) for one in chain),
        "certificate_begins_s": int(leaf.not_valid_before_utc.timestamp()),
        "subject": _name(leaf.subject),
        "issuer": _name(leaf.issuer),
        "names": _names(leaf),
        "chain_length": len(chain),
    }


def _name(name: x509.Name) -> str:
    return one_line(name.rfc4514_string())


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return []
    names = [*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress)]
    return [one_line(str(name)) for name in names[:_MOST_NAMES]]
