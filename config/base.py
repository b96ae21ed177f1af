"""What every part of the estate is made of: frozen models without unknown keys, names, addresses, paths."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

_NOT_IN_ADDRESS = re.compile(r"""[\s@=,/'"]""")


class EstateModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _is_address(value: str) -> str:
    if _NOT_IN_ADDRESS.search(value):
        raise ValueError("must be one IP address or host name, without port, user or options")
    return value


@lru_cache(maxsize=4096)
def _path(text: str) -> Path:
    """Directories of programs and files of secrets are the same for many members."""
    return Path(text)


def _as_path(value: object) -> object:
    return _path(value) if isinstance(value, str) else value


def _is_absolute(value: Path) -> Path:
    if not value.is_absolute():
        raise ValueError("must be an absolute path: it is used by a service, from any directory")
    if "\0" in str(value):
        raise ValueError("must be a path without NUL")
    return value


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
# Strict: `true` is no port and "5432" in quotes is text, whatever pydantic would make of them.
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Address = Annotated[str, AfterValidator(_is_address)]
AbsolutePath = Annotated[Path, BeforeValidator(_as_path), AfterValidator(_is_absolute)]
# Taken from the mapping's key: never written, never dumped, not in the JSON Schema.
KeyedName = SkipJsonSchema[str]
