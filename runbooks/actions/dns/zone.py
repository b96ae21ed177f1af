"""What one name of a zone has for addresses, at one server: asked, and replaced by an update.

Sources: RFC 2136 (updates), RFC 8945 (TSIG).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from model.errors import NameServerError
from model.ports import Clock, NameServers

_TYPES: Final = (dns.rdatatype.A, dns.rdatatype.AAAA)


class RefusedError(NameServerError):
    """The server said no: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """addresses: in order. ttl_s: how long a resolver may keep them; 0 where there are none. extra: what else
    the name is, such as an alias."""

    addresses: tuple[str, ...]
    ttl_s: int
    extra: str = ""


@dataclass(frozen=True, slots=True)
class ZoneName:
    """Every method raises NameServerError."""

    servers: NameServers
    clock: Clock
    zone: str
    name: str
    key: dns.tsig.Key | None

    async def addresses(self, server: str, deadline_s: float) -> Answer:
        """As the server itself has them, both A and AAAA."""
        found: list[str] = []
        ttl_s, extra = 0, ""
        for kind in _TYPES:
            query = dns.message.make_query(self._absolute, kind, flags=0)
            message = await self._ask(server, query, deadline_s)
            if message.rcode() == dns.rcode.NXDOMAIN:
                continue
            if message.rcode() != dns.rcode.NOERROR or not message.flags & dns.flags.AA:
                said = dns.rcode.to_text(message.rcode())
                text = said if message.rcode() else "it is no server of the zone"
                raise NameServerError(f"{self.name}: {text}", where=f"name server {server}")
            for rrset in message.answer:
                if rrset.name != self._absolute:
                    continue  # behind an alias
                if rrset.rdtype not in _TYPES:
                    extra = f"{self.name} has a {dns.rdatatype.to_text(rrset.rdtype)} record"
                    continue
                found += [record.to_text() for record in rrset]
                ttl_s = max(ttl_s, rrset.ttl)
        return Answer(ordered(found), ttl_s, extra)

    async def replace(self, server: str, addresses: Sequence[str], ttl_s: int, deadline_s: float) -> None:
        """The name has these addresses and no other, all at once. Raises RefusedError."""
        update = dns.update.UpdateMessage(self._zone)
        for kind in _TYPES:
            update.delete(self._absolute, kind)
        for address in addresses:
            kind = _TYPES[ip_address(address).version == 6]
            update.add(self._absolute, ttl_s, kind, address)
        if self.key is not None:
            update.use_tsig(self.key, algorithm=self.key.algorithm)
        message = await self._ask(server, update, deadline_s, changing=True)
        if message.rcode() != dns.rcode.NOERROR:
            said = dns.rcode.to_text(message.rcode())
            raise RefusedError(f"the update is refused: {said}", where=f"name server {server}")

    async def _ask(
        self, server: str, query: dns.message.Message, deadline_s: float, *, changing: bool = False
    ) -> dns.message.Message:
        left_s = max(deadline_s - self.clock.monotonic_s(), 0.001)
        where = f"name server {server}"
        try:
            wire = await self.servers.ask(server, query.to_wire(), timeout_s=left_s)
        except NameServerError as error:
            raise NameServerError(error.what, sent=error.sent and changing, where=where) from None
        try:
            message = dns.message.from_wire(wire, keyring=self.key, request_mac=query.mac)
            answers = query.is_response(message)
        except dns.tsig.PeerError as exc:
            raise RefusedError(f"it does not accept the signature: {exc}", where=where) from None
        except (dns.exception.DNSException, ValueError) as exc:
            what = f"an answer that can't be read: {type(exc).__name__}"
            raise NameServerError(what, sent=changing, where=where) from None
        # The section of an update's answer that would hold the zone may be left out (RFC 2136, 3.8).
        if not answers and not (changing and message.id == query.id):
            raise NameServerError("an answer to another question", sent=changing, where=where)
        return message

    @property
    def _absolute(self) -> dns.name.Name:
        return dns.name.from_text(self.name)

    @property
    def _zone(self) -> dns.name.Name:
        return dns.name.from_text(self.zone)


def ordered(addresses: Sequence[str]) -> tuple[str, ...]:
    """In one order and spelling: by family, then by number."""
    found = {ip_address(a) for a in addresses}
    return tuple(str(a) for a in sorted(found, key=lambda a: (a.version, int(a))))
