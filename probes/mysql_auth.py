"""How a password is shown to a MySQL or MariaDB server without being sent: one function per plugin.

`nonce` is what the server sent for this login. Sources: MariaDB's "Authentication Plugin" pages; RFC 8032 for
Ed25519, which MariaDB uses with the hash of the password in the place of the hash of a seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from nacl import bindings

NATIVE = "mysql_native_password"
SHA2 = "caching_sha2_password"
ED25519 = "client_ed25519"


def native(password: bytes, nonce: bytes) -> bytes:
    if not password:
        return b""
    once = _sha1(password)
    return _xor(once, _sha1(nonce[:20] + _sha1(once)))


def caching_sha2(password: bytes, nonce: bytes) -> bytes:
    if not password:
        return b""
    once = _sha256(password)
    return _xor(once, _sha256(_sha256(once) + nonce[:20]))


def ed25519(password: bytes, nonce: bytes) -> bytes:
    """A signature of the nonce: R and S of RFC 8032, section 5.1.6."""
    hashed = _sha512(password)
    secret = bytearray(hashed[:32])
    secret[0] &= 248
    secret[31] = secret[31] & 127 | 64
    # The bindings take scalars below the group's order.
    scalar = bindings.crypto_core_ed25519_scalar_reduce(bytes(secret) + bytes(32))
    public = bindings.crypto_scalarmult_ed25519_base_noclamp(scalar)
    r = bindings.crypto_core_ed25519_scalar_reduce(_sha512(hashed[32:] + nonce))
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(r)
    k = bindings.crypto_core_ed25519_scalar_reduce(_sha512(point + public + nonce))
    product = bindings.crypto_core_ed25519_scalar_mul(k, scalar)
    return point + bindings.crypto_core_ed25519_scalar_add(product, r)


PLUGINS: dict[str, Callable[[bytes, bytes], bytes]] = {NATIVE: native, SHA2: caching_sha2, ED25519: ed25519}


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()  # the protocol's choice


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha512(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
