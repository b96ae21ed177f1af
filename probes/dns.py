"""Probe type `dns`: does a name server give the right answer?

It asks the named server itself, so neither a cache nor the system's resolver stands between. A server that
says SERVFAIL or REFUSED lives, and gives no right answer: `bad_answer`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.reversename
from pydantic import Field, field_validator, model_validator

from model.observation import Failure, Layer
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.dns_query import Answered, NoAnswerError, Transport, ask
from probes.families import FamilyOptions, check_by_family
from probes.os_errors import reading_of_os_error
from probes.texts import one_line
from probes.trace import note

RESOLV_CONF = Path("/etc/resolv.conf")
_MOST_CHARACTERS = 500  # of one record, as a fact
_MOST_RESOLVERS = 3  # as many as the C library asks
_MOST_ANSWERS = 100  # as facts; a message of 64 KiB could hold thousands
_RECURSION = int(dns.flags.RD)
_UDP_BYTES = 1232  # what passes everywhere in one packet: https://www.dnsflagday.net/2020/


class DnsOptions(FamilyOptions):
    """What to ask, whom, and which answer is right."""

    name: str = Field(
        min_length=1,
        description="What to ask for; with `record: PTR` it may be an address. No search domains are added.",
    )
    record: str = Field("A", description="Type of record: A, AAAA, CNAME, MX, TXT, SRV, NS, SOA, PTR, ….")
    server: str = Field(
        "", description="Name or address of the server to ask; the resolvers of /etc/resolv.conf, if empty."
    )
    port: Annotated[int, Field(ge=1, le=65535)] = Field(53, description="Port of the server.")
    transport: Transport = Field(
        "udp", description="udp goes over to TCP where an answer is truncated; tcp asks over TCP at once."
    )
    recursion: bool = Field(
        True, description="Ask the server to find out what it does not know; without, only for what it knows."
    )
    rcode: str = Field("NOERROR", description="The response code that is right, as NOERROR or NXDOMAIN.")
    expect: tuple[str, ...] = Field(
        (),
        description="Records that must be there, as a zone file has them: `192.0.2.1`, `10 mx.example`.",
    )
    exact: bool = Field(False, description="No other records of the type may be in the answer.")

    @field_validator("record", "rcode")
    @classmethod
    def _in_capitals(cls, value: str) -> str:
        return value.upper()

    @field_validator("record")
    @classmethod
    def _known_type(cls, value: str) -> str:
        try:
            number = dns.rdatatype.from_text(value)
        except (dns.exception.DNSException, ValueError):
            raise ValueError(f"there is no type of record {value!r}; such as A, AAAA, MX or SRV") from None
        if dns.rdatatype.is_metatype(number) or number == dns.rdatatype.NONE:
            raise ValueError(f"{value} is no type that can be asked for here; such as A, AAAA, MX or SRV")
        return value

    @field_validator("rcode")
    @classmethod
    def _known_rcode(cls, value: str) -> str:
        try:
            dns.rcode.from_text(value)
        except (dns.exception.DNSException, ValueError):
            raise ValueError(f"there is no response code {value!r}; NOERROR, NXDOMAIN, REFUSED, …") from None
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        question_of(self.name, self.record)
        for text in self.expect:
            record_of(self.record, text)
        if self.exact and not self.expect:
            raise ValueError("`exact` says that there is nothing but what `expect` lists; give `expect` too")
        if self.expect and self.rcode != "NOERROR":
            raise ValueError(f"an answer with {self.rcode} has no records to `expect`")
        return self


class DnsProbe(Probe):
    """A name server's answer to one question.

    Facts: `rcode`; `answers`, the records of the asked type as a zone file has them; `names`, the aliases
    that led to them; `ttl_s`, the shortest time to live of the answer; `authoritative`; `serial`, the zone's,
    where a SOA record came; `server` and `transport`, who answered over what; `families` with `family: both`.
    """

    type: ClassVar[str] = "dns"
    layer: ClassVar[Layer] = Layer.NETWORK
    Options = DnsOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, DnsOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._question = question_of(options.name, options.record)
        self._type = dns.rdatatype.from_text(options.record)
        self._expected = frozenset(record_of(options.record, text) for text in options.expect)
        server = options.server
        self._addresses = Addresses(server, options.port, ports.clock) if server else None

    async def check(self) -> Reading:
        try:
            servers = await self._servers()
        except OSError as exc:
            return reading_of_os_error(exc)
        if not servers:
            return Reading.unknown(Failure.LOCAL, f"{RESOLV_CONF} names no server, and there is no `server`")
        return await check_by_family(servers, self._options.family, self._check)

    async def _servers(self) -> Sequence[Address]:
        """Raises OSError."""
        if self._addresses is not None:
            return await self._addresses.get()
        found: list[Address] = []
        for host in resolvers(RESOLV_CONF.read_text(encoding="utf-8", errors="replace")):
            found += await Addresses(host, self._options.port, self.ports.clock).get()
        return found

    async def _check(self, servers: Sequence[Address]) -> Reading:
        options = self._options
        query = dns.message.make_query(
            self._question,
            options.record,
            use_edns=0,
            payload=_UDP_BYTES,
            flags=_RECURSION if options.recursion else 0,
        )
        note("asking for %s %s", self._question, options.record)
        try:
            answered = await ask(query, servers, options.transport)
        except NoAnswerError as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            facts = self._facts(answered)
        except (dns.exception.DNSException, ValueError) as exc:
            return Reading.failed(Failure.BAD_ANSWER, f"the answer can't be read: {exc}")
        note("answered: %s %s", facts["rcode"], facts["answers"])
        return self._judged(answered.message, facts)

    def _facts(self, answered: Answered) -> dict[str, Any]:
        message = answered.message
        facts: dict[str, Any] = {
            "server": answered.server,
            "transport": answered.transport,
            "rcode": dns.rcode.to_text(message.rcode()),
            "authoritative": bool(message.flags & dns.flags.AA),
            "answers": sorted(shown(record) for record in _records(message, self._type))[:_MOST_ANSWERS],
        }
        aliases = _records(message, dns.rdatatype.CNAME)
        if aliases and self._type != dns.rdatatype.CNAME:
            facts["names"] = [shown(record) for record in aliases][:_MOST_ANSWERS]
        if message.answer:
            facts["ttl_s"] = min(rrset.ttl for rrset in message.answer)
        for rrset in (*message.answer, *message.authority):
            if rrset.rdtype == dns.rdatatype.SOA and len(rrset):
                facts.setdefault("serial", int(rrset[0].serial))
        return facts

    def _judged(self, message: dns.message.Message, facts: dict[str, Any]) -> Reading:
        options = self._options
        if facts["rcode"] != options.rcode:
            text = f"{facts['rcode']} for {options.name} {options.record}, expected {options.rcode}"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        found = frozenset(_records(message, self._type))
        if options.rcode == "NOERROR" and not found:
            text = f"{options.name} has no {options.record} record"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        missing, more = self._expected - found, found - self._expected
        if missing:
            return self._wrong("the answer lacks", missing, facts)
        if options.exact and more:
            return self._wrong("the answer also has", more, facts)
        return Reading.ok(", ".join(facts["answers"][:4]), **facts)

    def _wrong(self, text: str, records: frozenset[dns.rdata.Rdata], facts: dict[str, Any]) -> Reading:
        named = ", ".join(sorted(map(shown, records))[:4])
        return Reading.failed(Failure.BAD_ANSWER, f"{text} {named}", **facts)


def _records(message: dns.message.Message, type_: dns.rdatatype.RdataType) -> list[dns.rdata.Rdata]:
    return [record for rrset in message.answer if rrset.rdtype == type_ for record in rrset]


def shown(record: dns.rdata.Rdata) -> str:
    return one_line(record.to_text(), _MOST_CHARACTERS)


def question_of(name: str, record: str) -> dns.name.Name:
    """The name to ask for; of an address the one in in-addr.arpa or ip6.arpa. Raises ValueError."""
    if record == "PTR":
        try:
            return dns.reversename.from_address(str(ipaddress.ip_address(name)))
        except ValueError:
            pass  # it is a name already
    try:
        return dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError) as exc:
        raise ValueError(f"not a name: {name!r}: {exc}") from None


def record_of(record: str, text: str) -> dns.rdata.Rdata:
    """A record as a zone file has it; names end with or without the dot. Two are equal as DNS takes them:
    names whatever their capitals, texts byte for byte. Raises ValueError."""
    try:
        return dns.rdata.from_text("IN", record, text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as exc:
        raise ValueError(f"not a {record} record as a zone file has it: {text!r}: {exc}") from None


def resolvers(text: str) -> list[str]:
    """The servers that a resolv.conf(5) names, in its order."""
    lines = (line.split() for line in text.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"][:_MOST_RESOLVERS]
