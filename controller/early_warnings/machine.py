"""When a warning begins and when it ends: a fold over the signs of the rules. Pure.

Hysteresis on both sides: a rule may ask for several readings in a row before it begins, and it ends only when
it has been clear for a while. Silence neither begins nor ends one; what was not heard of for long is known no
more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.early_warnings.words import Change, Cleared, Key, Raised, Sign


@dataclass(frozen=True, slots=True)
class Entry:
    """One key that is over its threshold, or was. `open_utc`: since when it is a warning; None: not yet.
    passed: readings over the threshold in a row, the first of them at `passed_from_s`."""

    sentence: str
    seen_s: float
    keep_s: float
    passed: int = 0
    passed_from_s: float | None = None
    clear_from_s: float | None = None
    open_utc: str | None = None


Book = Mapping[Key, Entry]


def fold(
    book: Book, signs: Iterable[Sign], now_s: float, now_utc: str, clear_after_s: float
) -> tuple[dict[Key, Entry], list[Change]]:
    """The book after the signs, and what has begun or ended with them."""
    entries = dict(book)
    changes: list[Change] = []
    for sign in signs:
        before = entries.get(sign.key)
        if before is not None and sign.at_s <= before.seen_s:
            continue
        after = _with(before, sign, now_utc)
        if after is None:
            entries.pop(sign.key, None)
            continue
        entries[sign.key] = after
        if after.open_utc is not None and (before is None or before.open_utc is None):
            changes.append(Raised(sign.key, after.sentence))
    for key, entry in list(entries.items()):
        why = _over(entry, now_s, clear_after_s)
        if why is not None:
            del entries[key]
            if entry.open_utc is not None:
                changes.append(Cleared(key, entry.sentence, why))
    return entries, changes


def restored(sentence: str, open_utc: str, now_s: float, keep_s: float) -> Entry:
    """One that an earlier process began. The next reading says whether it lasts."""
    return Entry(sentence, now_s, keep_s, open_utc=open_utc)


def _with(entry: Entry | None, sign: Sign, now_utc: str) -> Entry | None:
    """None: nothing has to be remembered."""
    if sign.passed is None:
        return None if entry is None else replace(entry, seen_s=sign.at_s, clear_from_s=None)
    if not sign.passed:
        if entry is None or entry.open_utc is None:
            return None
        clear_from_s = sign.at_s if entry.clear_from_s is None else entry.clear_from_s
        return replace(entry, seen_s=sign.at_s, passed=0, passed_from_s=None, clear_from_s=clear_from_s)
    entry = entry or Entry(sign.sentence, sign.at_s, sign.keep_s)
    from_s = sign.at_s if entry.passed_from_s is None else entry.passed_from_s
    passed = entry.passed + 1
    begins = passed >= sign.readings and sign.at_s - from_s >= sign.after_s
    return Entry(
        sentence=sign.sentence,
        seen_s=sign.at_s,
        keep_s=sign.keep_s,
        passed=passed,
        passed_from_s=from_s,
        open_utc=entry.open_utc or (now_utc if begins else None),
    )


def _over(entry: Entry, now_s: float, clear_after_s: float) -> str | None:
    if entry.clear_from_s is not None and now_s - entry.clear_from_s >= clear_after_s:
        return "it is clear"
    if now_s - entry.seen_s > entry.keep_s:
        return f"nothing has been heard of it for {entry.keep_s / 60:.0f} min"
    return None
