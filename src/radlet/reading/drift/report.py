"""Hold what a reading room has seen against the reference card, measure by measure, over all and for each scanner."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field

from radlet.core.config import Config
from radlet.core.records import Record
from radlet.metrics.stability import chance_limit, stability_index
from radlet.reading.drift.card import LEAST_VALUES, DriftCard, Kind, Measure, Observed
from radlet.reading.drift.seen import seen_studies
from radlet.reading.feedback import SignedChange, signed_changes
from radlet.reading.store.store import Store
from radlet.reading.store.tables import now

EDIT_DISTANCE = "edit_distance"
_EDIT_EDGES = (0.0, 1e-9, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Drafts that were signed as they were have a bin of their own."""
_EARLIER_DAYS = 365
"""How long before the window signed drafts are still its reference."""


class DriftSettings(Config):
    """When films or drafts count as changed."""

    reference: Path | None = None
    """Card written by ``radlet drift reference``; not given: the one beside the checkpoint, if there is one."""
    days: int = Field(default=30, ge=1, le=3650)
    """Studies that came in so many days are looked at."""
    false_alarm_rate: float = Field(default=0.01, gt=0, le=0.5)
    """How often a group (all studies, or those of one scanner) raises any alarm though nothing has changed."""
    least_films: int = Field(default=50, ge=20)
    """Of fewer nothing is said."""


class ComparedMeasure(Record):
    """One measure of a group, held against the reference."""

    name: str
    kind: Kind
    psi: float
    """Population stability index; 0 where nothing differs."""
    limit: float
    """Above it is an alarm: chance alone passes it too rarely."""
    alarm: bool
    edges: tuple[float, ...] | None
    """Of the bins, one more than these; values beyond the ends count in the outermost."""
    labels: tuple[str, ...] | None
    expected: tuple[float, ...]
    """Share of each bin in the reference."""
    seen: tuple[float, ...]
    """Share of each bin in the group."""


class Group(Record):
    """Studies of one scanner, or all."""

    scanner: str | None
    """None: all."""
    films: int
    """Studies that were drafted or refused."""
    enough: bool
    """Whether they suffice to tell anything; if not, there are no measures."""
    measures: tuple[ComparedMeasure, ...]

    @property
    def alarms(self) -> list[str]:
        """Names of the measures that alarm."""
        return [measure.name for measure in self.measures if measure.alarm]


class ReferenceTold(Record):
    """What the card is of."""

    model: str
    created_at: datetime
    films: int
    reports: int


class DriftReport(Record):
    """Whether films and drafts still look like the reference."""

    reference: ReferenceTold | None
    """None where there is no card of the model that writes."""
    days: int
    false_alarm_rate: float
    groups: tuple[Group, ...]


def report_drift(store: Store, card: DriftCard | None, settings: DriftSettings) -> DriftReport:
    """Return what has changed since the reference.

    Args:
        store: Of the reading room.
        card: Of the model that writes; None: there is nothing to hold against.
        settings: When something counts as changed.
    """
    told = {"days": settings.days, "false_alarm_rate": settings.false_alarm_rate}
    if card is None:
        return DriftReport(reference=None, groups=(), **told)
    since = now() - timedelta(days=settings.days)
    studies = seen_studies(store, since, card.checkpoint_digest)
    changes = signed_changes(store, since - timedelta(days=_EARLIER_DAYS))
    signed = [(one.signed_at, _signed(one)) for one in changes if one.checkpoint_digest == card.checkpoint_digest]
    earlier = [one for at, one in signed if at < since]
    recent = [one for at, one in signed if at >= since]
    measures = [*card.measures, *_edit_measure(earlier)]
    scanners = sorted({one.scanner for one in studies if one.scanner})
    groups = [compare_group(None, studies, recent, measures, settings)]
    for name in scanners:
        own, own_signed = ([one for one in rows if one.scanner == name] for rows in (studies, recent))
        groups.append(compare_group(name, own, own_signed, measures, settings))
    reference = ReferenceTold(**{name: getattr(card, name) for name in ReferenceTold.model_fields})
    return DriftReport(reference=reference, groups=tuple(groups), **told)


def _signed(change: SignedChange) -> Observed:
    return Observed(scanner=change.scanner, values={EDIT_DISTANCE: change.edit_distance})


def _edit_measure(earlier: Sequence[Observed]) -> list[Measure]:
    """Return how much was changed before: no training tells it, so the time before is the reference."""
    if len(earlier) < LEAST_VALUES:
        return []
    bins = len(_EDIT_EDGES) - 1
    empty = Measure(name=EDIT_DISTANCE, kind="output", edges=_EDIT_EDGES, counts=(0,) * bins)
    counts = empty.count(one.values[EDIT_DISTANCE] for one in earlier)
    return [empty.model_copy(update={"counts": counts})]


def compare_group(
    scanner: str | None,
    studies: Sequence[Observed],
    signed: Sequence[Observed],
    measures: Sequence[Measure],
    settings: DriftSettings,
) -> Group:
    """Hold studies against the reference.

    Args:
        scanner: That took them all; None: any.
        studies: What was measured of each.
        signed: What was measured of drafts that were signed.
        measures: Of the reference.
        settings: When something counts as changed.
    """
    least = settings.least_films
    enough = len(studies) >= least
    told: list[tuple[Measure, tuple[int, ...]]] = []
    if enough:
        for measure in measures:
            counts = measure.count(
                one.values[measure.name] for one in (*studies, *signed) if measure.name in one.values
            )
            if sum(counts) >= least:
                told.append((measure, counts))
    # Bonferroni: the measures depend on each other in ways that counts do not tell.
    tail = settings.false_alarm_rate / max(len(told), 1)
    compared = tuple(_compare(measure, counts, scanner, tail) for measure, counts in told)
    return Group(scanner=scanner, films=len(studies), enough=enough, measures=compared)


def _compare(measure: Measure, counts: tuple[int, ...], scanner: str | None, tail: float) -> ComparedMeasure:
    expected = measure.by_scanner.get(scanner, measure.counts) if scanner else measure.counts
    index = float(stability_index(expected, counts))
    limit = chance_limit(expected, _rounded_down(sum(counts)), tail)
    return ComparedMeasure(
        name=measure.name,
        kind=measure.kind,
        psi=round(index, 4),
        limit=round(limit, 4),
        alarm=index > limit,
        edges=measure.edges,
        labels=measure.labels,
        expected=_shares(expected),
        seen=_shares(counts),
    )


def _rounded_down(count: int) -> int:
    """Return the next smaller of sizes that grow by a twentieth: limits are drawn once a size, and a bit too wide."""
    size = LEAST_VALUES
    if count < size:
        return count
    while (larger := max(size + 1, size * 21 // 20)) <= count:
        size = larger
    return size


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    total = max(sum(counts), 1)
    return tuple(round(count / total, 4) for count in counts)
