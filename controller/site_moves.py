"""Planned work at a place: which services leave it, or come back to it, and in which order.

No disaster is declared for it. The plan is made of the same facts by the same rules (`site_plan`); each move
is a planned switchover, asked of the service and judged by its gates when its turn has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.schema import Estate, MemberRole
from controller.disaster.outlook import known_service, leaving
from controller.executions import Execution
from controller.site_plan import SitePlan, make_site_plan
from controller.supervisor.supervisor import Supervisor
from model.disaster import Scope
from model.errors import UsageError


def planned_moves(
    estate: Estate,
    supervisors: Mapping[str, Supervisor],
    site: str,
    runs: Iterable[Execution],
    *,
    back: bool,
    person: str,
) -> SitePlan:
    """back: of the services that are at home there and elsewhere now; else of those with a member there.
    runs: past executions, for how long a move takes. Raises UsageError."""
    if site not in estate.sites:
        raise UsageError(f"no site {site!r}", hint=f"sites: {', '.join(estate.sites)}")
    away = {n: _away(estate, site, s, back=back) for n, s in supervisors.items()}
    concerned = {n: members for n, members in away.items() if members}
    if not concerned:
        what = "is at home at" if back else "has a member at"
        raise UsageError(f"no service {what} {site}", hint="nothing would follow from it")
    known = [known_service(supervisors[n], members, runs, person) for n, members in concerned.items()]
    return make_site_plan(known, {name: s.depends_on for name, s in estate.services.items()})


def _away(estate: Estate, site: str, supervisor: Supervisor, *, back: bool) -> tuple[str, ...]:
    """The members that may not be primary afterwards."""
    there = leaving(estate, Scope("site", site), supervisor)
    if not back:
        return there
    members = supervisor.service.members.values()
    home = any(m.name in there and getattr(m, "role", None) is MemberRole.PRIMARY for m in members)
    return tuple(m.name for m in members if m.name not in there) if home else ()
