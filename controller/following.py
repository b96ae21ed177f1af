"""Does a standby follow the service's primary? Pure.

One that the primary waits for must stream from the primary itself: whatever streams from another standby (as
after a switch, when it returns and finds its old upstream running again) confirms no write. Others may
cascade, as their administrator has arranged it.
"""

from __future__ import annotations

from controller.engines import ClaimedRole
from controller.views import MemberView, ServiceView
from model.quorum import meant_names, parse_synchronous_standby_names


def why_not_following(view: ServiceView, member: MemberView) -> str | None:
    """None: it follows, as far as its last reading and the primary's say."""
    if member.claimed_role is not ClaimedRole.STANDBY or not member.receives:
        return "does not stream"
    timeline = member.fact_int("timeline")
    if view.timeline is not None and timeline != view.timeline:
        return f"is on timeline {timeline}, not {view.timeline}"
    return why_not_confirming(view, member)


def why_not_confirming(view: ServiceView, member: MemberView) -> str | None:
    """A standby that streams, and is meant to confirm writes: does it stream from somebody else?"""
    if not member.streams_elsewhere or not _must_confirm(view, member):
        return None
    host, port = member.facts.get("sender_host"), member.facts.get("sender_port")
    upstream = f"from {host}:{port}, and not from {view.primary}" if host else f"not from {view.primary}"
    return f"streams {upstream}: it can confirm no write"


def _must_confirm(view: ServiceView, member: MemberView) -> bool:
    primary = view.member(view.primary)
    if primary is None or view.intended_setting is None:
        return False
    try:
        plan = parse_synchronous_standby_names(view.intended_setting)
    except ValueError:
        return False
    home = [m.application_name for m in view.members if m.role == "primary"]
    names = meant_names(plan, home, primary.application_name)
    return member.application_name.lower() in {n.lower() for n in names}
