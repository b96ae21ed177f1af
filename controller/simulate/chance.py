"""Chance that depends on the seed and on what is asked: there is no sequence that a jump would shift."""

from __future__ import annotations

import hashlib
from typing import Final

_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


class Chance:
    """Numbers in [0, 1) by key. The same key gives the same number, whenever and in whatever order it is
    asked."""

    __slots__ = ("_seed", "_seed_number")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._seed_number = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=7).digest(), "big")

    def of(self, *key: object) -> float:
        text = "\0".join((self._seed, *map(str, key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2.0**48

    def between(self, low: float, high: float, *key: object) -> float:
        return low + (high - low) * self.of(*key)

    def quick(self, *numbers: float) -> float:
        """The same from numbers alone: Python hashes those alike in every process."""
        return (((hash((self._seed_number, *numbers)) * _MIX) & _MASK) >> 11) / 2.0**53
