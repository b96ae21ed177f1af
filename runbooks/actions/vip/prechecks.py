"""What can be found out before an address is moved."""

from __future__ import annotations

from collections.abc import Sequence

from model.errors import BcmError
from model.execution import Precheck
from runbooks.actions.vip.address import NodeAddress

_LIMIT_S = 3.0


async def prechecks_of(addresses: Sequence[NodeAddress]) -> list[Precheck]:
    """One row for each node: can it be told, and does it have the address now?"""
    return [await _row(vip) for vip in addresses]


async def _row(vip: NodeAddress) -> Precheck:
    deadline_s = vip.clock.monotonic_s() + _LIMIT_S
    ok: bool | None = True
    try:
        result = "it has the address" if await vip.present(deadline_s) else "it does not have the address"
        if vip.is_v4:
            found = await vip.access.run(["arping", "-V"], timeout_s=_LIMIT_S, user="root")
            if "iputils" not in found.stdout + found.stderr:
                ok, result = False, f"{result}; it has no arping of iputils"
    except BcmError as error:
        ok, result = False, str(error.what)
    [how] = vip.described(["ip", "address", "show", "dev", vip.interface])
    return Precheck(
        what=f"{vip.ip} on {vip.node}",
        how=how,
        ok=ok,
        result=result,
        why="the address is moved there, or away from there",
        if_failed="mend node access, the interface's name, or install iputils-arping",
    )
