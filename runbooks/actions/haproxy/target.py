"""Which server of which HAProxy an action is about: as its options say, or the service's endpoint."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from config.endpoints import ControlSocket, HaproxyEndpoint, endpoint_of
from model.errors import RunbookError
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.haproxy.balancer import Balancer


class BackendOptions(ActionOptions):
    """A backend, of every HAProxy that clients may come through."""

    sockets: tuple[ControlSocket, ...] = Field(
        (),
        description="Control sockets: the absolute path of a file on this host, or HOST:PORT; those of the "
        "service's endpoint, if none.",
    )
    backend: str = Field("", pattern=r"^([A-Za-z0-9_.:-]{1,128})?$", description="The endpoint's, if empty.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.sockets) != bool(self.backend):
            raise ValueError(
                "`sockets` and `backend` go together; without both the service's endpoint is meant"
            )
        return self


class ServerOptions(BackendOptions):
    """One server of a backend."""

    server: str = Field("", pattern=r"^([A-Za-z0-9_.:-]{1,128})?$", description="Its name in HAProxy.")
    member: str = Field("", description="The member of the service whose server is meant.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.server) == bool(self.member):
            raise ValueError("either `server` (its name in HAProxy) or `member` (of the service)")
        return self


def haproxy_of(ctx: StepContext) -> HaproxyEndpoint | None:
    endpoint = endpoint_of(ctx.service)
    return endpoint if isinstance(endpoint, HaproxyEndpoint) else None


def balancers(ctx: StepContext, options: BackendOptions) -> list[Balancer]:
    """Raises RunbookError where neither the options nor the estate name any."""
    endpoint = haproxy_of(ctx)
    sockets, backend = options.sockets, options.backend
    if not sockets:
        if endpoint is None:
            raise RunbookError(
                f"{ctx.service.name} has no endpoint of type haproxy",
                hint="give `sockets` and `backend`, or declare the endpoint in the estate",
            )
        sockets, backend = endpoint.sockets, endpoint.backend
    return [Balancer(ctx.ports.haproxy, ctx.ports.clock, socket, backend) for socket in sockets]


def server_of(ctx: StepContext, options: ServerOptions) -> str:
    return options.server or server_of_member(ctx, options.member)


def server_of_member(ctx: StepContext, member: str) -> str:
    """Raises RunbookError for whoever is no member."""
    if member not in ctx.service.members:
        raise RunbookError(
            f"{member!r} is no member of {ctx.service.name}",
            hint=f"its members are {', '.join(ctx.service.members)}",
        )
    endpoint = haproxy_of(ctx)
    return endpoint.server_of(member) if endpoint is not None else member


def places(found: list[Balancer]) -> str:
    return ", ".join(f"HAProxy at {b.socket}" for b in found)
