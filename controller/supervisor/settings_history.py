"""Which synchronous settings must be satisfied for a proof (POSTGRESQL P2). Pure.

`synchronous_standby_names` comes from its history, read with every canary, never from the last reading alone:
after a change both settings count until a canary that was committed under the new one is acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from config.schema import PostgresqlService, Service
from model.quorum import SyncSetting, format_names, parse_synchronous_standby_names


@dataclass(frozen=True, slots=True)
class SettingsHistory:
    """confirmed: the setting under which the newest acknowledged canary was committed. pending: values that
    were read since and not confirmed, oldest first. read_ns: when one was last read, monotonic."""

    confirmed: str | None = None
    pending: tuple[str, ...] = ()
    read_ns: int | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that must be satisfied; empty: not known."""
        known = (() if self.confirmed is None else (self.confirmed,)) + self.pending
        return tuple(dict.fromkeys(known))

    @property
    def settings(self) -> tuple[SyncSetting, ...]:
        """Parsed. One that can't be parsed proves nothing: it counts as asynchronous."""
        return tuple(_parsed(text) for text in self.texts)

    @property
    def current(self) -> str | None:
        """The last one that was read."""
        return self.pending[-1] if self.pending else self.confirmed

    def read(self, text: str, read_ns: int) -> SettingsHistory:
        """The server showed `text`, and nothing was committed under it yet as far as is known."""
        if text == self.current:
            return replace(self, read_ns=read_ns)
        return replace(self, pending=(*self.pending, text), read_ns=read_ns)

    def acknowledged(self, text: str, read_ns: int) -> SettingsHistory:
        """A canary that read `text` in its own statement was acknowledged.

        It settles the matter only if nobody has read another setting since: its statement may have waited for
        a standby while the setting was changed, and then says nothing of what is in force now.
        """
        if self.current in (None, text):
            return SettingsHistory(text, (), read_ns)
        return self.read(text, read_ns)


def widest_setting(service: Service) -> str | None:
    """The loosest that this product ever sets: the estate's count, of all members. None: asynchronous."""
    if not isinstance(service, PostgresqlService):
        return None
    intended = _parsed(service.postgresql.synchronous_standby_names)
    if not intended.synchronous:
        return None
    return format_names(intended.method, intended.k, [m.application_name for m in service.members.values()])


def _parsed(text: str) -> SyncSetting:
    try:
        return parse_synchronous_standby_names(text)
    except ValueError:
        return SyncSetting("ANY", 0, (), text)
