"""Put what was found to be the same into groups, and say which member of each stays."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from radlet.core.records import SPLITS, Study
from radlet.data.quality.base import Group, Member, Scope

_STAYS: dict[str | None, int] = {split: place for place, split in enumerate([*reversed(SPLITS), None])}
"""A copy leaves the train split rather than the test split, so that nobody is judged on what was learnt."""

Alike = dict[int, float]
"""Position of a member -> how like the most similar other one it is."""


def member_of(study: Study, own_id: str) -> Member:
    """Return a film of a study, or the study itself, as the member of a group."""
    return Member(id=own_id, study_id=study.study_id, patient_id=study.patient_id, split=study.split)


def make_groups(
    check: str, of: Literal["films", "studies"], members: Mapping[int, Member], alike: Iterable[Alike]
) -> list[Group]:
    """Return the groups, in the order of their first members."""
    return [_group(check, of, members, one) for one in sorted(alike, key=min)]


def first_to_stay(members: Sequence[Member]) -> Member:
    """Return the member that stays: of test before dev before train, then the first."""
    return min(members, key=lambda member: _STAYS[member.split])


def _group(check: str, of: Literal["films", "studies"], members: Mapping[int, Member], alike: Alike) -> Group:
    places = sorted(alike)
    of_group = tuple(members[place] for place in places)
    return Group(
        check=check,
        of=of,
        scope=scope_of(of_group),
        kept=first_to_stay(of_group).id,
        similarity={members[place].id: round(alike[place], 4) for place in places},
        members=of_group,
    )


def scope_of(members: Sequence[Member]) -> Scope:
    """Return over what the members of a group are spread."""
    if len({member.split for member in members if member.split}) > 1:
        return "several splits"
    return "several patients" if len({member.patient_id for member in members}) > 1 else "one patient"
