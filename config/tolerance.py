"""What a service survives with proof, by the number of synchronous copies (S3, P1, P19). Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

from config.schema import MemberRole, PostgresqlService
from model.quorum import parse_synchronous_standby_names, without


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Of `k` of `n` synchronous standbys, the primary's own name not counted.

    standbys_lost: standbys that may be lost together with the primary while every acknowledged write can
    still be proven to be on the rest: k − 1. writes_wait_after: standbys that may be lost while the primary
    lives and writes still go on: n − k. Both are −1 for an asynchronous service, where nothing is proven.
    """

    method: str
    k: int
    n: int
    readable_needed: int

    @property
    def synchronous(self) -> bool:
        return self.k > 0

    @property
    def standbys_lost(self) -> int:
        return self.k - 1 if self.synchronous else -1

    @property
    def writes_wait_after(self) -> int:
        return self.n - self.k if self.synchronous else -1

    def sentence(self) -> str:
        """For `check` and `status`."""
        if not self.synchronous:
            return (
                "asynchronous: survives no loss with proof; the last writes before a failover may be missing"
            )
        lost = f"the primary and {_standbys(self.standbys_lost)}" if self.k > 1 else "the primary alone"
        return (
            f"{self.method} {self.k} of {_standbys(self.n)}: survives the loss of {lost} with proof "
            f"({self.readable_needed} of {self.n} must be readable); {self._writes()}"
        )

    def more(self) -> str:
        """What would buy one more loss, and at what price; '' where the question does not arise."""
        if not self.synchronous:
            return "synchronous_standby_names with the standbys' names buys proof"
        more = f"{self.method} {self.k + 1}"
        both = f"{more} of {_standbys(self.k + 2)} survives one standby more, and writes go on with one out"
        if self.k == self.n:
            return both
        if self.n - self.k > 1:
            return f"{more} of the same {self.n} survives one standby more"
        return f"{more} of the same {self.n} survives one more, but writes wait as soon as one is out; {both}"

    def _writes(self) -> str:
        if self.writes_wait_after == 0:
            return "writes wait as soon as one standby is out"
        return f"writes go on with {_standbys(self.writes_wait_after)} out"


def tolerance(service: PostgresqlService) -> Tolerance:
    """Of the setting that the estate states, for the member that it calls primary."""
    setting = parse_synchronous_standby_names(service.postgresql.synchronous_standby_names)
    for member in service.members.values():
        if member.role is MemberRole.PRIMARY:
            setting = without(setting, member.application_name)
    if not setting.synchronous:
        return Tolerance(setting.method, 0, 0, 0)
    return Tolerance(setting.method, setting.k, len(setting.names), setting.readable_needed)


def tolerance_line(service: PostgresqlService) -> str:
    """`orders: ANY 1 of 2 standbys: survives the loss of the primary alone with proof (…); more: …`"""
    found = tolerance(service)
    return f"{service.name}: {found.sentence()}; more: {found.more()}"


def _standbys(count: int) -> str:
    return f"{count} standby" if count == 1 else f"{count} standbys"
