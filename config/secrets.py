"""References to secrets: where a secret is found, never the secret itself (S12)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

WHY_NOT_INLINE = (
    "a secret is never written into the estate; state where it is: "
    "{file: PATH}, {env: NAME} or {credential: NAME}"
)
_SECRET_KEY = re.compile(r"passw|passphrase|secret|token|api_?key|private|credential", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


def is_secret_key(key: str) -> bool:
    """Does a key of this name hold a secret in many a file?"""
    return _SECRET_KEY.search(key) is not None


class SecretRef(BaseModel):
    """Exactly one of `file`, `env` or `credential` (a systemd credential, read from
    $CREDENTIALS_DIRECTORY)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None = Field(None, description="File that holds the secret and nothing else.")
    env: str | None = Field(None, description="Name of an environment variable.")
    credential: str | None = Field(None, description="Name of a systemd credential (LoadCredential=).")

    @model_validator(mode="before")
    @classmethod
    def _not_inline(cls, value: object) -> object:
        if isinstance(value, str | int | float):
            # The text is not repeated: it may be the secret.
            raise ValueError(WHY_NOT_INLINE)
        return value

    @field_validator("file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path of a file that holds the secret")
        return value

    @field_validator("env", "credential")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("must be a name (letters, digits, '_'), not the secret itself")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [n for n in ("file", "env", "credential") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of file, env, credential is allowed; given: {', '.join(given) or 'none'}"
            )
        return self

    def __str__(self) -> str:
        if self.file is not None:
            return f"file:{self.file}"
        return f"env:{self.env}" if self.env is not None else f"credential:{self.credential}"
