"""Secrets, read where the estate says they are: each time anew, so that a new password is taken up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import structlog

from config.secrets import SecretRef
from model.errors import SecretError

log = structlog.get_logger(__name__)

_CREDENTIALS = "CREDENTIALS_DIRECTORY"


class SecretStore:
    """model.ports.Secrets for files, environment variables and systemd credentials.

    Nothing is kept, and no message carries a value.
    """

    def __init__(self) -> None:
        self._warned: set[Path] = set()

    def get(self, reference: SecretRef) -> str:
        """The secret, without the one newline at its end that editors add. Raises SecretError."""
        if reference.file is not None:
            return self._read(reference.file, reference)
        if reference.env is not None:
            value = os.environ.get(reference.env)
            if not value:
                raise _error(reference, "the environment variable is not set", "set it in the daemon's unit")
            return value
        directory = os.environ.get(_CREDENTIALS)
        if not directory:
            raise _error(
                reference,
                f"${_CREDENTIALS} is not set",
                "run under systemd, with LoadCredential= in the unit",
            )
        return self._read(Path(directory) / str(reference.credential), reference)

    def _read(self, path: Path, reference: SecretRef) -> str:
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read().decode()
        except OSError as exc:
            hint = "check the path, and that the daemon's account may read it"
            raise _error(reference, exc.strerror or type(exc).__name__, hint) from None
        except UnicodeDecodeError:  # its text would show a part of the secret
            raise _error(reference, "it is not UTF-8 text", "write the secret and nothing else") from None
        if mode & (stat.S_IROTH | stat.S_IWOTH) and path not in self._warned:
            self._warned.add(path)
            log.warning("everybody on this host can read a secret", file=str(path), todo=f"chmod 0600 {path}")
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise _error(reference, "it is empty", "write the secret into it")
        return text


def _error(reference: SecretRef, what: str, hint: str) -> SecretError:
    return SecretError(f"the secret can't be read: {what}", where=str(reference), hint=hint)
