"""The services of this daemon that are failing over or about to, each as its own supervisor judges it."""

from __future__ import annotations

from controller.order import Claim, FailoverOrder, Stage, Turn


class Claims:
    """One for all services of a daemon: mostly empty, and so cheap to ask."""

    def __init__(self, order: FailoverOrder | None = None) -> None:
        self.order = order or FailoverOrder()
        self._claims: dict[str, Claim] = {}

    def note(self, service: str, stage: Stage | None, now_s: float) -> None:
        """With every turn; None: it claims nothing any more."""
        if stage is None:
            self._claims.pop(service, None)
        else:
            before = self._claims.get(service)
            since_s = before.since_s if before is not None and before.stage is stage else now_s
            self._claims[service] = Claim(service, stage, now_s, since_s)

    def turn(self, service: str, budget_left: int, now_s: float) -> Turn:
        return self.order.turn(service, self._claims.values(), budget_left, now_s)
