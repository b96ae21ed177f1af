"""An account of a server, and where its password is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.base import EstateModel
from config.secrets import SecretRef

# The server's limit is 63 bytes; a control character would end a comment in the SQL that is printed.
SqlName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,63}$")]


class Credential(EstateModel):
    """A database role and where its password is."""

    user: SqlName = Field(description="Name of the database role.")
    password: SecretRef | None = Field(None, description="Without it: peer, certificate or trust.")
