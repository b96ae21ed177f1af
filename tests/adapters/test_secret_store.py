from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from config.secrets import SecretRef
from controller.adapters.secrets import SecretStore
from model.errors import SecretError


def stored(path: Path, content: bytes, mode: int = 0o600) -> SecretRef:
    path.write_bytes(content)
    path.chmod(mode)
    return SecretRef(file=path)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b" s3cret \n\n", " s3cret \n"),
        ("gehëim\n".encode(), "gehëim"),
    ],
)
def test_a_file_is_read_but_for_one_newline(tmp_path: Path, content: bytes, secret: str) -> None:
    assert SecretStore().get(stored(tmp_path / "secret", content)) == secret


def test_a_changed_secret_is_taken_up(tmp_path: Path) -> None:
    store, reference = SecretStore(), stored(tmp_path / "secret", b"old")
    store.get(reference)
    stored(tmp_path / "secret", b"new")
    assert store.get(reference) == "new"


def test_the_environment_and_systemd_credentials_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BCM_SECRET", "from the unit")
    assert SecretStore().get(SecretRef(env="BCM_SECRET")) == "from the unit"
    stored(tmp_path / "monitor", b"from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert SecretStore().get(SecretRef(credential="monitor")) == "from systemd"


@pytest.mark.parametrize(
    ("reference", "what"),
    [
        (SecretRef(file=Path("/not/there")), "No such file"),
        (SecretRef(file=Path("/proc/self")), "Is a directory"),
        (SecretRef(env="BCM_NOT_SET"), "is not set"),
        (SecretRef(credential="monitor"), "is not set"),
    ],
)
def test_an_error_names_the_reference_and_what_to_do(
    reference: SecretRef, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretError, match=what) as caught:
        SecretStore().get(reference)
    assert str(caught.value).startswith(f"{reference}: ")
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"s3cret\xff"])
def test_no_error_shows_what_was_read(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretError) as caught:
        SecretStore().get(stored(tmp_path / "secret", content))
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o602, 1)])
def test_a_file_that_everybody_can_read_is_warned_of_once(tmp_path: Path, mode: int, warned: int) -> None:
    store, reference = SecretStore(), stored(tmp_path / "secret", b"s3cret", mode)
    with capture_logs() as logs:
        store.get(reference)
        store.get(reference)
    assert len(logs) == warned
    assert "s3cret" not in str(logs)
