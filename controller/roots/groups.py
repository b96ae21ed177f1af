"""Which services suffer from which root: groups that are moved by the difference. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from model.diagnosis import Root


class Groups:
    """Mutable on purpose. A group that has not changed is not made again."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, None]] = {}
        self._key_of: dict[str, str] = {}
        self._listed: dict[str, tuple[Root, tuple[str, ...]]] = {}

    def put(self, service: str, key: str | None) -> None:
        """key: of its root; None: it suffers from none."""
        before = self._key_of.get(service)
        if key == before:
            return
        if before is not None:
            del self._key_of[service]
            del self._of[before][service]
            if not self._of[before]:
                del self._of[before]
            self.renew(before)
        if key is not None:
            self._key_of[service] = key
            self._of.setdefault(key, {})[service] = None
            self.renew(key)

    def renew(self, key: str) -> None:
        """What its root tells may be another thing now."""
        self._listed.pop(key, None)

    def renew_all(self) -> None:
        self._listed.clear()

    def listed(self, root_of: Callable[[str], Root | None]) -> Iterator[tuple[Root, tuple[str, ...]]]:
        """Roots by their keys, each with its services by name."""
        for key in sorted(self._of):
            known = self._listed.get(key)
            if known is None:
                services = tuple(sorted(self._of[key]))
                root = root_of(services[0])
                if root is None:
                    continue
                known = self._listed[key] = (root, services)
            yield known
