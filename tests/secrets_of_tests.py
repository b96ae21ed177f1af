"""The secrets port, for tests: it knows what it was given by the name of an environment variable."""

from __future__ import annotations

from typing import Any

from config.secrets import SecretRef
from model.errors import SecretError
from model.ports import Secrets
from probes.base import ProbePorts
from tests.virtual_clock import RealClock


class KnownSecrets(Secrets):
    def __init__(self, **known: str) -> None:
        self.known = known

    def get(self, reference: Any) -> str:
        assert isinstance(reference, SecretRef)
        if reference.env not in self.known:
            raise SecretError("the environment variable is not set", where=str(reference))
        return self.known[reference.env]


def ports_with(**secrets: str) -> ProbePorts:
    return ProbePorts(clock=RealClock(), secrets=KnownSecrets(**secrets))
