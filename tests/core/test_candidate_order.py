"""Who is promoted first: position, then the estate's preference, then the site; and each place says why."""

from __future__ import annotations

import pytest

from model.lsn import Position
from model.quorum import FAR_BEHIND_BYTES, Choice, MemberPosition, choose, preference_of

TOP = 1 << 30


def member(
    name: str,
    *,
    site: str = "standby",
    preference: int = 100,
    behind: int = 0,
    returning: bool = False,
    not_candidate: str | None = None,
    why_not: str = "",
    timeline: int = 1,
) -> MemberPosition:
    position = None if why_not else Position("7", timeline, TOP - behind)
    ranks = preference_of(site, preference, returning=returning)
    return MemberPosition(name, name, position, ranks, not_candidate, why_not)


def order(*members: MemberPosition) -> list[str]:
    return [r.member for r in choose(members).ranking if r.place is not None]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (
            member("b", preference=1),
            member("a", preference=2),
            "after b: by the estate's preference",
        ),
        (member("b", site="primary"), member("a"), "after b: by its site"),
        (member("a"), member("b"), "after a: by its name"),
        (
            member("b"),
            member("a", preference=1, behind=FAR_BEHIND_BYTES + 1),
            f"after b: more than a segment behind; {FAR_BEHIND_BYTES + 1} bytes behind",
        ),
        (
            member("b", preference=200),
            member("a", preference=1, returning=True),
            "after b: lost the primary's role a short while ago",
        ),
        (
            member("b", behind=FAR_BEHIND_BYTES + 1),
            member("a", returning=True),
            "after b: lost the primary's role a short while ago",
        ),
        (
            member("b", preference=200, behind=FAR_BEHIND_BYTES + 1),
            member("a", site="dr", preference=1),
            "after b: at the DR site",
        ),
    ],
    ids=["preference", "site", "name", "position", "lost the role", "lost it, and further", "DR site"],
)
def test_two_members_are_told_apart_by_the_first_that_differs(
    first: MemberPosition, second: MemberPosition, why: str
) -> None:
    for given in ([first, second], [second, first]):
        choice = choose(given)
        assert choice.candidate == first.member
        assert [(r.member, r.place) for r in choice.ranking] == [(first.member, 1), (second.member, 2)]
        assert choice.ranking[1].why == why


def test_a_moment_behind_does_not_outweigh_the_preference() -> None:
    choice = choose([member("a"), member("b", preference=1, behind=FAR_BEHIND_BYTES)])
    assert (choice.candidate, choice.source) == ("b", "a")


def test_who_can_not_be_promoted_is_in_the_ranking_with_the_reason() -> None:
    choice = choose(
        [
            member("a", not_candidate="excluded"),
            member("b", why_not="does not answer"),
            member("c", timeline=2),
            member("d", preference=1),
        ]
    )
    assert choice.candidate == "c"
    assert _without_place(choice) == {
        "a": "excluded",
        "b": "does not answer",
        "d": "it is of another lineage than the newest",
    }


def test_an_excluded_member_is_never_chosen_though_it_alone_has_all() -> None:
    assert order(member("a", not_candidate="excluded"), member("b", behind=400)) == ["b"]
    assert choose([member("a", not_candidate="excluded")]).candidate is None


def test_whoever_is_wanted_changes_the_choice_and_not_the_ranking() -> None:
    members = [member("a"), member("b")]
    assert choose(members, wanted="b").candidate == "b"
    assert choose(members, wanted="b").ranking == choose(members).ranking


def _without_place(choice: Choice) -> dict[str, str]:
    return {r.member: r.why for r in choice.ranking if r.place is None}
