"""Private keys for ssh, read from text."""

from __future__ import annotations

import contextlib
import io

import paramiko

_TYPES: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
KINDS = "give an OpenSSH private key (ed25519, ecdsa or rsa) without a passphrase"


def private_key(text: str) -> paramiko.PKey | None:
    """None: it is no private key that can be used."""
    for kind in _TYPES:
        with contextlib.suppress(paramiko.SSHException, ValueError, IndexError):
            return kind.from_private_key(io.StringIO(text + "\n"))
    return None
