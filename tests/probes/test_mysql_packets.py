"""The bytes of MySQL's protocol: what can't be read is said to be so, and passwords are never sent."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.observation import Failure, Outcome
from probes import mysql_packets as packets
from probes.mysql_auth import PLUGINS, caching_sha2, ed25519, native
from probes.mysql_errors import MyError, error_of, reading_of, reading_of_end
from probes.mysql_packets import ProtocolError, ServerError

NONCE = bytes(range(1, 21))
GREETING = (
    b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0" + NONCE[:8] + b"\0\xfe\xf7\x2d\x02\0\xff\x81\x15" + bytes(10)
    + NONCE[8:] + b"\0mysql_native_password\0"
)  # fmt: skip


def test_a_greeting_is_read() -> None:
    greeting = packets.read_greeting(GREETING)
    assert greeting.version == "10.11.6-MariaDB"
    assert (greeting.connection, greeting.nonce, greeting.plugin) == (7, NONCE, "mysql_native_password")


@pytest.mark.parametrize("data", [b"\x09old", b"\x0a5.5\0", b"SSH-2.0-OpenSSH\r\n", GREETING[:40]])
def test_what_is_no_greeting_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        packets.read_greeting(data)


@given(st.binary(min_size=1, max_size=120))
def test_no_bytes_break_a_reader_otherwise(data: bytes) -> None:
    for read in (
        packets.read_greeting,
        packets.read_error,
        packets.read_switch,
        packets.read_column,
        lambda packet: packets.read_row(packet, ["a", "b"]),
        lambda packet: packets.Cursor(packet).counted(),
    ):
        try:
            read(data)
        except ProtocolError:
            continue


def test_an_error_is_read_with_and_without_its_sqlstate() -> None:
    assert packets.read_error(b"\xff\x15\x04#28000Access denied") == ServerError(
        1045, "28000", "Access denied"
    )
    assert packets.read_error(b"\xff\x10\x04Too many connections").code == 1040


def test_the_nul_of_a_row_is_no_empty_text() -> None:
    assert packets.read_row(b"\xfb\x00\x02ab", ["x", "y", "z"]) == {"x": None, "y": "", "z": "ab"}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_no_password_is_in_its_answer_and_no_two_nonces_have_the_same(plugin: str) -> None:
    nonce = NONCE + bytes(12)
    answer = PLUGINS[plugin](b"correct horse", nonce)
    assert b"correct" not in answer
    assert answer != PLUGINS[plugin](b"correct horse", bytes(32))
    assert len(answer) < 251


def test_a_server_that_knows_the_hash_accepts_the_answer() -> None:
    """As the server checks it, from what it has stored: the hash of the hash."""
    stored = hashlib.sha256(hashlib.sha256(b"pw").digest()).digest()
    mask = hashlib.sha256(stored + NONCE).digest()
    once = bytes(a ^ b for a, b in zip(caching_sha2(b"pw", NONCE), mask, strict=True))
    assert hashlib.sha256(once).digest() == stored
    stored = hashlib.sha1(hashlib.sha1(b"pw").digest()).digest()
    mask = hashlib.sha1(NONCE + stored).digest()
    once = bytes(a ^ b for a, b in zip(native(b"pw", NONCE), mask, strict=True))
    assert hashlib.sha1(once).digest() == stored


def test_no_password_is_an_empty_answer() -> None:
    assert native(b"", NONCE) == caching_sha2(b"", NONCE) == b""
    assert len(ed25519(b"", bytes(32))) == 64  # here the server checks a signature in any case


@pytest.mark.parametrize(
    ("code", "outcome", "failure"),
    [
        (1040, Outcome.FAILED, Failure.SATURATED),
        (1045, Outcome.UNKNOWN, Failure.CREDENTIALS),
        (1698, Outcome.UNKNOWN, Failure.CREDENTIALS),
        (1044, Outcome.UNKNOWN, Failure.CREDENTIALS),
        (1053, Outcome.FAILED, Failure.STOPPING),
        (1047, Outcome.FAILED, Failure.STARTING),
        (1290, Outcome.FAILED, Failure.READ_ONLY),
        (1836, Outcome.FAILED, Failure.READ_ONLY),
        (1021, Outcome.FAILED, Failure.DISK_FULL),
        (28, Outcome.FAILED, Failure.DISK_FULL),
        (1205, Outcome.FAILED, Failure.LOCK_BLOCKED),
        (1927, Outcome.UNKNOWN, None),
        (1064, Outcome.FAILED, Failure.BAD_ANSWER),
    ],
)
def test_the_number_of_an_error_decides(code: int, outcome: Outcome, failure: Failure | None) -> None:
    reading = reading_of(error_of(ServerError(code, "", "text")))
    assert (reading.outcome, reading.failure, reading.detail) == (outcome, failure, f"{code}: text")


def test_the_end_of_an_idle_session_is_a_closed_one_unless_it_was_for_being_idle() -> None:
    ended = reading_of_end(MyError("", cause=ConnectionResetError("closed")))
    assert ended is not None
    assert ended.failure is Failure.CLOSED
    assert reading_of_end(error_of(ServerError(4031, "", "idle"))) is None
    stopped = reading_of_end(error_of(ServerError(1053, "", "shutdown")))
    assert stopped is not None
    assert stopped.failure is Failure.STOPPING
