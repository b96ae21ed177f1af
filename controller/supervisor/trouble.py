"""What stops the whole controller: said once when it begins and once when it is over, not with each turn."""

from __future__ import annotations

from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class Trouble:
    """One per controller, shared by its supervisors. page: severity and summary."""

    def __init__(self, page: Callable[[str, str], object]) -> None:
        self._page = page
        self._told: str | None = None

    def tell(self, what: str, why: str) -> None:
        """`why` may change while it lasts (free bytes, ages); it is the same trouble all the same."""
        if what != self._told:
            self._told = what
            log.error(what, why=why)
            self._page("page", f"{what}: {why}")

    def over(self) -> None:
        """The journal has taken a record: whatever it was, it is over."""
        if self._told is not None:
            what, self._told = self._told, None
            log.warning("over", what=what)
            self._page("info", f"over: {what}")
