"""From a module and a target that somebody names to a probe: for `/probe?target=&module=`.

The host is made to connect to whatever is asked, so only targets that `daemon.probe_endpoint` allows are
taken, and only types that ask a peer over the network: none that runs a command.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from config.modules import BUILT_IN, ProbeModule
from model.errors import UsageError
from probes.base import Probe, ProbeOptions, ProbePorts
from probes.registry import load_probe_type

# What a target is for each type that may be asked for.
ASKS: Final[Mapping[str, str]] = {
    "http": "URL",
    "tcp": "HOST:PORT",
    "tls": "HOST:PORT",
    "grpc": "HOST:PORT",
    "icmp": "HOST",
    "dns": "HOST[:PORT]",
}
# These send the name that they are asked for to the server, and look it up themselves.
BY_NAME: Final = frozenset({"http", "grpc"})
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_SAMPLES: Final = {"URL": "http://host/", "HOST:PORT": "host:1", "HOST[:PORT]": "host", "HOST": "host"}
ANYWHERE: Final = "*"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask. url: for `http`; port: for those that need one."""

    host: str
    port: int | None = None
    url: str | None = None


def module_of(modules: Mapping[str, ProbeModule], name: str) -> ProbeModule:
    """One of the estate's, or one that is built in. Raises UsageError."""
    found = modules.get(name) or BUILT_IN.get(name)
    if found is None:
        known = ", ".join(sorted({*modules, *BUILT_IN}))
        raise UsageError("there is no such module", hint=f"there are: {known}")
    return found


def parse_target(type_: str, text: str) -> Target:
    """What `text` means to probes of the type. Raises UsageError."""
    asks = ASKS[type_]
    try:
        match asks:
            case "URL":
                target = _of_url(text if "://" in text else f"http://{text}")
            case "HOST:PORT" | "HOST[:PORT]":
                target = _of_pair(text)
                if target.port is None and asks == "HOST:PORT":
                    raise ValueError
            case _:
                target = Target(text.removeprefix("[").removesuffix("]").lower())
    except ValueError:
        raise UsageError(f"the target must be {asks} for a module of type {type_}") from None
    if not _HOST.fullmatch(target.host):
        raise UsageError("the target has no valid host: an address, or a name in ASCII")
    return target


def _of_url(text: str) -> Target:
    """Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise ValueError
    return Target(parts.hostname or "", parts.port, text)


def _of_pair(text: str) -> Target:
    """Raises ValueError."""
    if _address(text) is not None:
        return Target(text)  # of IPv6, without brackets and without a port
    parts = urlsplit(f"//{text}")
    if parts.netloc != text or "@" in text or parts.port == 0:
        raise ValueError
    return Target(parts.hostname or "", parts.port)


def is_allowed(host: str, patterns: Sequence[str]) -> bool:
    """An address by a network or a pattern, a name by a pattern only: who allows a network does not allow
    whoever's names lead there. A name is never looked up for this."""
    address = _address(host)
    if address is not None:
        networks = [ipaddress.ip_network(p) for p in patterns if "/" in p]
        if any(address in network for network in networks):
            return True
        host = str(address)
    return any(_globbed(p, host.lower().rstrip(".")) for p in patterns if "/" not in p)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    # The same host, written otherwise: it must not slip past the networks of IPv4.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _globbed(pattern: str, host: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), host) is not None


def make_probe(module: ProbeModule, target: Target, name: str, ports: ProbePorts) -> Probe:
    """name: of the target, for TLS, where its address is asked. May read files. Raises UsageError,
    ValidationError."""
    kind = load_probe_type(module.type)
    return kind(f"scrape/{name}", options_of(kind, module, target, name), ports)


def options_of(kind: type[Probe], module: ProbeModule, target: Target, name: str) -> ProbeOptions:
    """The type's options for this target. Raises ValidationError."""
    fields = kind.Options.model_fields
    given: dict[str, Any] = dict(module.options)
    if target.host != name and "server_name" in fields and not given.get("server_name"):
        given["server_name"] = name
    if target.url is not None:
        given["url"] = target.url
    else:
        given["server" if "server" in fields else "host"] = target.host
        if target.port is not None:
            given["port"] = target.port
    return kind.Options.model_validate(given)


def module_problem(module: ProbeModule, patterns: Sequence[str]) -> str | None:
    """What is wrong with a declared module, for `check`; options are looked at with a target made up."""
    if module.type not in ASKS:
        return f"type {module.type!r} can't be asked for over HTTP; allowed: {', '.join(ASKS)}"
    if module.options.get("redirects") == "follow" and ANYWHERE not in patterns:
        return "`redirects: follow` could lead to hosts that are not allowed: `probe_endpoint` must have '*'"
    try:
        sample = parse_target(module.type, _SAMPLES[ASKS[module.type]])
        options_of(load_probe_type(module.type), module, sample, sample.host)
    except UsageError as error:
        return error.what
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        return f"options.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None
