"""How many things at one place live, are silent, or can't be judged: counted as signs change. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from controller.roots.signs import Life


@dataclass(slots=True)
class Tally:
    alive: int = 0
    silent: int = 0
    unknown: int = 0

    def move(self, before: Life | None, after: Life | None) -> None:
        """One thing's sign was `before` and is `after`; None: it is not there."""
        if before is not None:
            self._add(before, -1)
        if after is not None:
            self._add(after, 1)

    def _add(self, life: Life, number: int) -> None:
        match life:
            case Life.ALIVE:
                self.alive += number
            case Life.SILENT:
                self.silent += number
            case Life.UNKNOWN:
                self.unknown += number


@dataclass(slots=True)
class NodeTally:
    """members: what the servers on it show. hosts: what probes of the host show, as each service on it and
    each declared probe has it; all of them together are one thing that is silent."""

    members: Tally
    hosts: Tally

    @property
    def life(self) -> Life | None:
        """None: nobody looks. A host that can't be judged is no reason to doubt while another says more."""
        if self.members.alive or self.hosts.alive:
            return Life.ALIVE
        if self.members.unknown or (self.hosts.unknown and not self.hosts.silent):
            return Life.UNKNOWN
        return Life.SILENT if self.silent_things else None

    @property
    def silent_things(self) -> int:
        """Of one alone it can't be told whether the thing or its host is out."""
        return self.members.silent + (1 if self.hosts.silent else 0)
