"""known_hosts as OpenSSH reads and writes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from probes.known_hosts import KnownKeys, read_known_keys

A, B = "AAAAkeyA", "AAAAkeyB"


def known(tmp_path: Path, text: str, host: str = "db1", port: int = 22) -> KnownKeys:
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return read_known_keys(file, host, port)


@pytest.mark.parametrize(
    ("line", "host", "port", "trusted"),
    [
        (f"db1 ssh-ed25519 {A} a comment", "db1", 22, True),
        (f"DB1,10.0.0.1 ssh-ed25519 {A}", "db1", 22, True),
        (f"db2,10.0.0.1 ssh-ed25519 {A}", "db1", 22, False),
        (f"*.example.com ssh-ed25519 {A}", "db1.example.com", 22, True),
        (f"*.example.com,!db1.example.com ssh-ed25519 {A}", "db1.example.com", 22, False),
        (f"db1 ssh-ed25519 {A}", "db1", 2222, False),
        (f"[db1]:2222 ssh-ed25519 {A}", "db1", 2222, True),
        (f"[::1]:2222 ssh-ed25519 {A}", "::1", 2222, True),
        (f"# db1 ssh-ed25519 {A}", "db1", 22, False),
        (f"@cert-authority db1 ssh-ed25519 {A}", "db1", 22, False),
        ("db1 ssh-ed25519", "db1", 22, False),
        (f"|1|not|base64 ssh-ed25519 {A}", "db1", 22, False),
        (f"|1|bad ssh-ed25519 {A}", "db1", 22, False),
    ],
)
def test_which_lines_count(tmp_path: Path, line: str, host: str, port: int, trusted: bool) -> None:
    assert known(tmp_path, f"\n{line}\n", host, port).trusts(A) is trusted


def test_a_new_key_can_be_made_known_beside_the_old_one(tmp_path: Path) -> None:
    keys = known(tmp_path, f"db1 ssh-ed25519 {A}\ndb1 ssh-ed25519 {B}\ndb1 ssh-rsa C\n")
    assert keys.trusts(A)
    assert keys.trusts(B)
    assert keys.types == ("ssh-ed25519", "ssh-rsa")


def test_a_revoked_key_is_never_right(tmp_path: Path) -> None:
    keys = known(tmp_path, f"db1 ssh-ed25519 {A}\n@revoked * ssh-ed25519 {A}\n")
    assert not keys.trusts(A)
    assert keys.revoked == {A}


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize(("name", "port"), [("db1", 22), ("[db1]:2222", 2222)])
def test_names_that_ssh_keygen_has_hashed_are_found(tmp_path: Path, name: str, port: int) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    public = (tmp_path / "key.pub").read_text()
    file = tmp_path / "known_hosts"
    file.write_text(f"{name} {public}")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", file], check=True, capture_output=True)
    assert "|1|" in file.read_text()
    assert read_known_keys(file, "db1", port).trusts(public.split()[1])
    assert not read_known_keys(file, "db2", port).trusts(public.split()[1])
