"""Who must say yes before something is done: how many persons, of which offices, within which time."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from config.base import EstateModel
from config.durations import PositiveSeconds

Office = Annotated[str, Field(min_length=1, max_length=100)]
# As long as an operator may need from the page to the keyboard; after it the situation is judged anew.
EXPIRES_S: Final = 900.0


class ApprovalRule(EstateModel):
    """From a level upwards. Whoever asks never approves; a person counts once; no answer in time means no."""

    persons: Literal[1, 2] = Field(
        1,
        description="How many must agree. 2: what a person asks for needs one other, too (four eyes).",
    )
    offices: tuple[Office, ...] = Field(
        (),
        description="Offices whose holders may approve. Empty: those that command and confirm at this level. "
        "Where nobody holds any of them, everybody in `people` may.",
    )
    expires: PositiveSeconds = Field(EXPIRES_S, description="After it an approval can't be given any more.")
    in_mode_act: bool = Field(
        False, description="Also what mode `act` would do by itself waits for an approval at this level."
    )


class ServiceApproval(EstateModel):
    """Of a service, beside the level's: the stricter of the two counts."""

    persons: Literal[1, 2] = Field(1, description="At least so many, whatever the level says.")
    offices: tuple[Office, ...] = Field(
        (), description="Offices whose holders may approve, instead of the level's."
    )
    expires: PositiveSeconds | None = Field(None, description="Instead of the level's.")
    in_mode_act: bool = Field(
        False, description="Also what mode `act` would do by itself waits for an approval."
    )
