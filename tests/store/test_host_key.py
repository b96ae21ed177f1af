"""Signed heads: what a closed report carries, and how it is checked elsewhere."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from controller.store.signing import HostKey, verify_head
from model.errors import JournalError
from tests.store.conftest import OpenStore


async def test_a_signed_head_is_checked_with_the_public_key_alone(open_store: OpenStore) -> None:
    store = open_store()
    event = await store.append("incident.closed", {})
    signature = store.sign_head(event.seq, event.hash)
    assert verify_head(store.public_key, event.seq, event.hash, signature)
    assert not verify_head(store.public_key, event.seq + 1, event.hash, signature)
    assert not verify_head(store.public_key, event.seq, event.prev, signature)


@pytest.mark.parametrize("bad", ["", "ed25519:", "ed25519:!!", "rsa:AAAA", "ed25519:" + "A" * 86 + "=="])
async def test_what_is_no_signature_is_no_signature(open_store: OpenStore, bad: str) -> None:
    store = open_store()
    good = store.sign_head(1, "0" * 64)
    assert not verify_head(store.public_key, 1, "0" * 64, bad)
    assert not verify_head(bad, 1, "0" * 64, good)


def test_the_key_is_private_and_stays(state_dir: Path) -> None:
    first = HostKey.load_or_create(state_dir)
    path = state_dir / "host-key.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert HostKey.load_or_create(state_dir).public == first.public
    assert [p.name for p in state_dir.iterdir()] == ["host-key.pem"]
    raw = base64.b64decode(first.public.removeprefix("ed25519:"))
    assert len(raw) == 32
    other = HostKey.load_or_create(state_dir.with_name("other"))
    assert other.public != first.public


def test_a_key_that_others_can_read_is_refused(state_dir: Path) -> None:
    HostKey.load_or_create(state_dir)
    (state_dir / "host-key.pem").chmod(0o640)
    with pytest.raises(JournalError, match="read or written by others"):
        HostKey.load_or_create(state_dir)


def test_a_damaged_key_is_a_clear_error_without_the_key(state_dir: Path) -> None:
    HostKey.load_or_create(state_dir)
    path = state_dir / "host-key.pem"
    secret = path.read_text().splitlines()[1]
    path.write_text(path.read_text().replace("BEGIN", "BEGUN"))
    with pytest.raises(JournalError, match="signing key can't be used") as error:
        HostKey.load_or_create(state_dir)
    assert secret not in str(error.value)
