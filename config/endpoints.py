"""How clients reach a service: a multi-host DSN, HAProxy, a virtual IP address or a DNS name."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_interface
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    WrapValidator,
    field_validator,
)

from config.base import Address, EstateModel, Name, Port
from config.durations import Seconds
from config.secrets import SecretRef

_UNIX_PATH_BYTES: Final = 107


def _is_control_socket(text: str) -> str:
    if text.startswith("/"):
        if len(text.encode()) > _UNIX_PATH_BYTES:
            raise ValueError(f"the path of a socket has at most {_UNIX_PATH_BYTES} bytes")
        return text
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be the absolute path of a socket, or HOST:PORT")
    return text


def _is_interface_address(text: str) -> str:
    try:
        ip_interface(text)
    except ValueError:
        raise ValueError("must be an IP address with its prefix, such as 192.0.2.10/24") from None
    if "/" not in text:
        raise ValueError("must have a prefix, such as 192.0.2.10/24: /32 is written out")
    return text


HaproxyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
ControlSocket = Annotated[str, AfterValidator(_is_control_socket)]
InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,15}$")]
InterfaceAddress = Annotated[str, AfterValidator(_is_interface_address)]
DnsName = Annotated[str, Field(pattern=r"^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?){1,40}$")]


class Endpoint(EstateModel):
    """Base of all kinds."""

    type: str = Field(description="The kind of endpoint.")


class DsnEndpoint(Endpoint):
    """Clients reach the service through a multi-host DSN with target_session_attrs=read-write."""

    type: Literal["dsn"] = Field("dsn", description="The kind of endpoint.")
    order: tuple[Name, ...] = Field(
        (), description="Members in the order in which clients try them; all of them, if empty."
    )


class HaproxyEndpoint(Endpoint):
    """Clients reach the service through HAProxy. Its servers start `disabled`; this product enables the one
    that is primary (P9)."""

    type: Literal["haproxy"] = Field(description="The kind of endpoint.")
    host: Address = Field(description="Where clients connect: the address of HAProxy, or of the pair.")
    port: Port = Field(description="The port there.")
    sockets: tuple[ControlSocket, ...] = Field(
        description="Control sockets (level admin) of every HAProxy that clients may come through: the "
        "absolute path of a file on this host, or HOST:PORT.",
    )
    backend: HaproxyName = Field(description="Its backend, or `listen` section.")
    servers: Mapping[Name, HaproxyName] = Field(
        {}, description="Member: its server in that backend, where the name is not the member's."
    )

    @field_validator("sockets")
    @classmethod
    def _somebody_to_tell(cls, sockets: tuple[str, ...]) -> tuple[str, ...]:
        if not sockets:
            raise ValueError("needs at least one: nobody could be told where clients are to be led")
        return sockets

    def server_of(self, member: str) -> str:
        return self.servers.get(member, member)


class VipEndpoint(Endpoint):
    """Clients reach the service at an address that is moved to the node of the primary."""

    type: Literal["vip"] = Field(description="The kind of endpoint.")
    address: InterfaceAddress = Field(description="The address with its prefix, such as 192.0.2.10/24.")
    interface: InterfaceName = Field(description="Interface of the nodes that takes it.")
    interfaces: Mapping[Name, InterfaceName] = Field({}, description="Node: its interface, if another.")
    port: Port | None = Field(None, description="Port that clients connect to; the primary's, if none.")

    def interface_of(self, node: str) -> str:
        return self.interfaces.get(node, self.interface)

    @property
    def host(self) -> str:
        return str(ip_interface(self.address).ip)


class TsigKey(EstateModel):
    """A key that signs updates of a zone (RFC 8945)."""

    name: DnsName = Field(description="Its name, as the server knows it.")
    secret: SecretRef = Field(description="Where its secret is, in base64.")
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = Field(
        "hmac-sha256", description="Its algorithm."
    )


class DnsEndpoint(Endpoint):
    """Clients reach the service by a name, whose address is changed in the zone (RFC 2136)."""

    type: Literal["dns"] = Field(description="The kind of endpoint.")
    name: DnsName = Field(description="The name, in full.")
    zone: DnsName = Field(description="Its zone.")
    primary: Annotated[str, Field(min_length=1)] = Field(
        description="The server that takes updates: HOST or HOST:PORT."
    )
    servers: tuple[str, ...] = Field(
        (), description="Every server that must give the new answer: HOST or HOST:PORT; `primary` always."
    )
    key: TsigKey | None = Field(None, description="The key that signs; without one updates are not signed.")
    # Resolvers keep the old answer for so long: it is part of every recovery time.
    ttl: Seconds = Field(30.0, ge=1, description="How long resolvers may keep an answer.")
    port: Port | None = Field(None, description="Port that clients connect to; the primary's, if none.")


def endpoint_of(service: object) -> Endpoint | None:
    """Of a service, if its engine has one and it is declared."""
    found = getattr(service, "endpoint", None)
    return found if isinstance(found, Endpoint) else None


KINDS: Final[Mapping[str, type[Endpoint]]] = {
    "dsn": DsnEndpoint, "haproxy": HaproxyEndpoint, "vip": VipEndpoint, "dns": DnsEndpoint,
}  # fmt: skip


def kind_of(written: object) -> type[Endpoint]:
    """The class of an endpoint as it stands in the file; `Endpoint` where its type is not known."""
    kind = written.get("type", "dsn") if isinstance(written, dict) else None
    return KINDS.get(kind, Endpoint) if isinstance(kind, str) else Endpoint


def _one_of(*allowed: str) -> WrapValidator:
    """The class is chosen by `type`, so that a finding is about that kind alone."""

    class _TypeAlone(EstateModel):
        type: Literal[allowed] = Field(description="The kind of endpoint.")  # type: ignore[valid-type]

    def choose(value: Any, handler: ModelWrapValidatorHandler[Endpoint]) -> Endpoint:
        if not isinstance(value, dict):
            return handler(value)
        written = value.get("type", "dsn" if "dsn" in allowed else None)
        if written not in allowed:
            _TypeAlone.model_validate({"type": written} if written is not None else {})  # raises
        return KINDS[str(written)].model_validate(value)

    kinds: Any = KINDS[allowed[0]]
    for name in allowed[1:]:
        kinds |= KINDS[name]
    return WrapValidator(choose, json_schema_input_type=kinds)


DatabaseEndpoint = Annotated[Endpoint, SerializeAsAny(), _one_of("dsn", "haproxy", "vip", "dns")]
"""Of a service with a primary whose clients can find it by themselves."""
MovedEndpoint = Annotated[Endpoint, SerializeAsAny(), _one_of("haproxy", "vip", "dns")]
"""Of a service with a primary whose clients are led to it."""
PoolEndpoint = Annotated[Endpoint, SerializeAsAny(), _one_of("haproxy")]
"""Of a pool."""
