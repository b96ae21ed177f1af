"""The host's Ed25519 key: a signed head in a closed report can't be denied by editing the journal later."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from controller.store.files import StateFiles, sync_directory
from model.canonical import canonical_json
from model.errors import JournalError

_PREFIX: Final = "ed25519:"


class HostKey:
    """Signs heads. The private half never leaves `host-key.pem` (0600)."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def load_or_create(cls, state_dir: Path) -> HostKey:
        """Raises JournalError."""
        files = StateFiles(state_dir)
        try:
            files.prepare()
            if not files.key.exists():
                _create(files.key)
            key = load_pem_private_key(files.key.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise _unusable(files.key, str(error)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(files.key, "it is no Ed25519 key")
        return cls(key)

    @property
    def public(self) -> str:
        """`ed25519:` and 32 bytes in base64: to be kept where the state directory can't be edited from."""
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _PREFIX + base64.b64encode(raw).decode()

    def sign_head(self, seq: int, hash_: str) -> str:
        """`ed25519:` and the signature in base64."""
        return _PREFIX + base64.b64encode(self._private.sign(_message(seq, hash_))).decode()


def verify_head(public: str, seq: int, hash_: str, signature: str) -> bool:
    """Did the holder of `public` sign this head? False for anything malformed."""
    try:
        key = Ed25519PublicKey.from_public_bytes(_decode(public))
        key.verify(_decode(signature), _message(seq, hash_))
    except (ValueError, InvalidSignature):
        return False
    return True


def _message(seq: int, hash_: str) -> bytes:
    # The purpose is part of what is signed: this key's signatures can't be used for anything else.
    return canonical_json({"purpose": "bcm-failover journal head", "seq": seq, "hash": hash_})


def _decode(text: str) -> bytes:
    if not text.startswith(_PREFIX):
        raise ValueError("is not of Ed25519")
    return base64.b64decode(text.removeprefix(_PREFIX), validate=True)


def _create(path: Path) -> None:
    """Complete or not there; of two that create it at once the first one's stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            return
        sync_directory(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def _unusable(path: Path, why: str) -> JournalError:
    return JournalError(
        f"the host's signing key can't be used: {why}",
        where=str(path),
        hint="restore it from a backup; or move it away for a new one, and tell those who check signatures",
    )
