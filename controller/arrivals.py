"""What another controller saw, on our clock: its times become ours on arrival, by their age. Pure.

Two hosts have no monotonic clock in common. What arrives has an age on its sender's clock (sent − ended) and
has travelled besides. The least (received − sent) of the last minute or two, which is a sending that did not
wait on its way, puts the sender's clock beside ours: what waited longer is that much older. Two windows and
not all time: two clocks drift apart by seconds a day, and a sender that was suspended counts on from where it
stopped.

What every sending of two windows in a row has waited can't be told from the clocks. So whoever carries them
gives a sending up after a second, and sends what is newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from model.errors import UsageError
from model.observation import Observation

# Long enough that one of some hundred sendings did not wait; crystals drift by 6 ms in it at 100 ppm.
WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What another controller saw since its last batch, in the order in which it saw it; may be empty.

    boot: another text whenever its monotonic clock or its numbers begin anew (the host's boot and the
    process's start). number: one more with each batch of one boot, so what is missing was lost. sent_s and
    the times of `seen`: seconds of its monotonic clock. sane, why: what it makes of its own network and of
    itself, as `ObserverHealth.judge`.
    """

    observer: str
    boot: str
    number: int
    sent_s: float
    sane: bool | None
    why: str = ""
    seen: tuple[Observation, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch on our clock. at_s: when it was sent. missed: others before it were lost, or came too late."""

    observer: str
    at_s: float
    sane: bool | None
    why: str
    seen: tuple[Observation, ...]
    missed: bool = False


@dataclass(frozen=True, slots=True)
class SenderClock:
    """Of one sender: what to add to its times. within_s, before_s: least (received − sent) of this window and
    of the one before."""

    boot: str
    number: int
    began_s: float
    within_s: float
    before_s: float

    @classmethod
    def first(cls, batch: Batch, received_s: float) -> SenderClock:
        gap_s = received_s - batch.sent_s
        return cls(batch.boot, batch.number, received_s, gap_s, gap_s)

    def after(self, batch: Batch, received_s: float) -> SenderClock:
        gap_s = received_s - batch.sent_s
        windows = (received_s - self.began_s) // WINDOW_S
        if windows < 1:
            return replace(self, number=batch.number, within_s=min(self.within_s, gap_s))
        before_s = self.within_s if windows < 2 else gap_s
        return SenderClock(batch.boot, batch.number, received_s, gap_s, before_s)

    @property
    def offset_s(self) -> float:
        return min(self.within_s, self.before_s)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The clock of each sender, by name."""

    clocks: Mapping[str, SenderClock] = field(default_factory=dict)

    def take(self, batch: Batch, received_s: float) -> tuple[Arrivals, Arrived | None]:
        """None: it has been here before, or a newer one has. received_s: our monotonic clock.

        Raises UsageError for what no controller could have seen: observations of somebody else, or of after
        they were sent.
        """
        _refuse_nonsense(batch)
        known = self.clocks.get(batch.observer)
        if known is None or known.boot != batch.boot:
            clock = SenderClock.first(batch, received_s)
        elif batch.number <= known.number:
            return self, None
        else:
            clock = known.after(batch, received_s)
        offset_s = clock.offset_s
        seen = tuple(
            replace(o, started_s=o.started_s + offset_s, ended_s=o.ended_s + offset_s) for o in batch.seen
        )
        missed = known is not None and (known.boot != batch.boot or batch.number > known.number + 1)
        arrived = Arrived(batch.observer, batch.sent_s + offset_s, batch.sane, batch.why, seen, missed)
        return Arrivals({**self.clocks, batch.observer: clock}), arrived


def _refuse_nonsense(batch: Batch) -> None:
    for seen in batch.seen:
        if seen.observer != batch.observer:
            raise UsageError(f"a batch of {batch.observer} holds an observation of {seen.observer}")
        if not seen.started_s <= seen.ended_s <= batch.sent_s:
            raise UsageError(
                f"{batch.observer} says that it saw {seen.target} after it sent that: "
                f"{seen.started_s:.3f} to {seen.ended_s:.3f}, sent at {batch.sent_s:.3f}"
            )
