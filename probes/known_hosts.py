"""The host keys that are trusted for one host, from a file in the format of known_hosts (sshd(8))."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """`trusted`: (type, key in base64) in the order of the file; `revoked`: keys that are never right."""

    trusted: tuple[tuple[str, str], ...]
    revoked: frozenset[str]

    def trusts(self, key: str) -> bool:
        """Several keys of one type are all right: so a new key can be made known before it is used."""
        return key not in self.revoked and any(key == known for _, known in self.trusted)

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(kind for kind, _ in self.trusted))


def name_in_file(host: str, port: int) -> str:
    """As ssh-keyscan writes it."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def read_known_keys(file: Path, host: str, port: int) -> KnownKeys:
    """Lines that can't be read are passed over, as ssh does; so are certificates. Raises OSError."""
    name = name_in_file(host, port).lower()
    trusted: list[tuple[str, str]] = []
    revoked: set[str] = set()
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#") or not _matches(name, words[0]):
            continue
        if marker == "@revoked":
            revoked.add(words[2])
        elif not marker:
            trusted.append((words[1], words[2]))
    return KnownKeys(tuple(trusted), frozenset(revoked))


def _matches(name: str, patterns: str) -> bool:
    """A hashed name, or patterns with `*` and `?`, of which one with `!` takes the others back."""
    if patterns.startswith("|1|"):
        return _is_hash_of(name, patterns)
    matches = False
    for pattern in patterns.lower().split(","):
        # Brackets stand for themselves here.
        plain = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name, plain):
            if pattern.startswith("!"):
                return False
            matches = True
    return matches


def _is_hash_of(name: str, hashed: str) -> bool:
    try:
        _, _, salt, digest = hashed.split("|")
        wanted = base64.b64decode(digest, validate=True)
        made = hmac.new(base64.b64decode(salt, validate=True), name.encode(), hashlib.sha1).digest()
    except ValueError:
        return False
    return hmac.compare_digest(made, wanted)
