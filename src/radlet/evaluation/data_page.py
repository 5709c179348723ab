"""Render a data card as one self-contained HTML file, in the look of the scorecard's page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radlet.core.records import OBSERVATIONS, SPLITS, State
from radlet.data.card import DataCard, Lengths
from radlet.evaluation.flows import Diagram, Link, Node, draw_flow
from radlet.evaluation.pages import page_environment

_MAX_REASONS = 6
"""So many reasons of refusal are told apart in the picture; the rest stand together."""
_MAX_REASON_CHARACTERS = 34
_STATES = (State.POSITIVE, State.UNCERTAIN, State.NEGATIVE, State.UNMENTIONED)
_HISTOGRAM_WIDTH, _HISTOGRAM_HEIGHT = 480, 120
_FEW_LABELS = 8
"""So many labels stand in one column."""


@dataclass(frozen=True)
class Column:
    """One column of a histogram, in pixels."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """Lengths of one kind of text."""

    title: str
    lengths: Lengths
    columns: tuple[Column, ...]
    median_x: float
    p95_x: float
    end: int
    width: int = _HISTOGRAM_WIDTH
    height: int = _HISTOGRAM_HEIGHT


@dataclass(frozen=True)
class Share:
    """A part of a stacked bar, in percent of its length."""

    kind: str
    start: float
    length: float
    count: int


@dataclass(frozen=True)
class LabelRow:
    """A label over all splits; `shares` are of the known ones, by split."""

    name: str
    known: int
    present: int
    shares: dict[str, float | None]


def render_data_card(card: DataCard) -> str:
    """Return the page. It says the same of the same card: there is no date on it."""
    environment = page_environment()
    environment.filters |= {"count": "{:,}".format, "percent": _percent}
    splits = [split for split in SPLITS if card.splits.get(split, {}).get("studies")]
    kept = sum(row["targets"] for row in card.splits.values())
    return environment.get_template("data_card.html.j2").render(
        card=card,
        splits=splits,
        num_targets=kept,
        study_flow=_study_flow(card, splits),
        film_flow=_film_flow(card),
        grouped_reasons=_grouped(card.flow.refused_by_reason),
        observations=[(name, [(split, _shares(card, split, name)) for split in splits]) for name in _observed(card)],
        label_columns=_label_columns(card),
        histograms=_histograms(card),
    )


def _study_flow(card: DataCard, splits: Sequence[str]) -> Diagram | None:
    """Draw what became of the studies; where answers are learnt, of the questions, of which a study has several."""
    flow, section = card.flow, card.section
    unfit = (card.quality or {}).get("studies_dropped", 0)
    without = {reason: sum(counts.values()) for reason, counts in flow.without_target.items()}
    reasons = {reason: f"r:{reason}" for reason in sorted(without, key=lambda reason: -without[reason])}
    if section == "answer":
        column = 1
        nodes, links = [Node("studies", "questions", 0)], []
    else:
        column = 2
        nodes = [
            Node("read", "items with a study", 0),
            Node("studies", "studies kept", 1),
            Node("dropped", "no usable film or row", 1, "lost"),
            Node("unfit", "films unfit", 1, "lost"),
        ]
        links = [
            Link("read", "studies", flow.studies),
            Link("read", "dropped", flow.items_without_any_film),
            Link("read", "unfit", unfit),
        ]
    nodes += [
        Node("target", f"with {section}", column),
        *(Node(key, _shorten(reason), column, "aside") for reason, key in reasons.items()),
        *(Node(split, split, column + 1) for split in splits),
    ]
    links += [
        Link("studies", "target", sum(card.splits[split]["targets"] for split in splits)),
        *(Link("studies", key, without[reason]) for reason, key in reasons.items()),
        *(Link("target", split, card.splits[split]["targets"]) for split in splits),
        *(
            Link(key, split, flow.without_target[reason].get(split, 0))
            for reason, key in reasons.items()
            for split in splits
        ),
    ]
    return draw_flow(nodes, links, height=230)


def _film_flow(card: DataCard) -> Diagram | None:
    flow = card.flow
    refused = _grouped(flow.refused_by_reason)
    unfit = (card.quality or {}).get("rejected_by_check", {})
    totals = {view: sum(counts.values()) for view, counts in card.views.items()}
    views = dict(sorted(totals.items(), key=lambda entry: -entry[1]))
    nodes = [
        Node("read", "films and other items", 0),
        Node("films", "films kept", 1),
        Node("refused", "refused", 1, "lost"),
        *(Node(f"v:{view}", "view unknown" if view == "unknown" else view, 2) for view in views),
        *(Node(f"r:{reason}", _shorten(reason), 2, "lost") for reason, _ in refused),
        Node("unfit", "rejected by quality", 1, "lost"),
        *(Node(f"q:{name}", name.replace("_", " "), 2, "lost") for name in unfit),
    ]
    links = [
        Link("read", "films", flow.films),
        Link("read", "refused", flow.refused),
        *(Link("films", f"v:{view}", count) for view, count in views.items()),
        *(Link("refused", f"r:{reason}", count) for reason, count in refused),
        Link("read", "unfit", sum(unfit.values())),
        *(Link("unfit", f"q:{name}", count) for name, count in unfit.items()),
    ]
    return draw_flow(nodes, links, height=150)


def _grouped(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the commonest reasons, and the others as one."""
    ordered = sorted(reasons.items(), key=lambda entry: (-entry[1], entry[0]))
    if len(ordered) <= _MAX_REASONS + 1:
        return ordered
    others = ordered[_MAX_REASONS:]
    return [*ordered[:_MAX_REASONS], (f"{len(others)} other reasons", sum(count for _, count in others))]


def _shorten(reason: str) -> str:
    if len(reason) <= _MAX_REASON_CHARACTERS:
        return reason
    return reason[:_MAX_REASON_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _observed(card: DataCard) -> list[str]:
    """Return the observations, the most often positive first; none where no target was read."""
    if not card.observations:
        return []
    positive = {
        name: sum(table[name].get(State.POSITIVE, 0) for table in card.observations.values()) for name in OBSERVATIONS
    }
    return sorted(OBSERVATIONS, key=lambda name: -positive[name])


def _shares(card: DataCard, split: str, name: str) -> list[Share]:
    counts = card.observations.get(split, {}).get(name, {})
    total = sum(counts.values())
    shares: list[Share] = []
    start = 0.0
    for state in _STATES:
        if count := counts.get(state, 0):
            shares.append(Share(state.lower(), start, 100 * count / total, count))
            start += 100 * count / total
    return shares


def _label_columns(card: DataCard) -> list[list[LabelRow]]:
    rows = [
        LabelRow(
            name,
            sum(one.known for one in counts.values()),
            sum(one.present for one in counts.values()),
            {split: one.present / one.known for split, one in counts.items()},
        )
        for name, counts in card.labels.items()
    ]
    rows.sort(key=lambda row: -row.present / row.known)
    height = max(-(-len(rows) // 2), _FEW_LABELS)
    return [rows[start : start + height] for start in range(0, len(rows), height)]


def _histograms(card: DataCard) -> list[Histogram]:
    kinds = (
        ("Report (findings and impression, else the caption)", card.report_words),
        ("Indication", card.indication_words),
    )
    return [_histogram(title, lengths) for title, lengths in kinds if lengths]


def _histogram(title: str, lengths: Lengths) -> Histogram:
    wide = _HISTOGRAM_WIDTH / len(lengths.bins)
    highest = max(lengths.bins)
    columns = []
    for index, count in enumerate(lengths.bins):
        tall = max(_HISTOGRAM_HEIGHT * count / highest, 1.0 if count else 0.0)
        first, last = index * lengths.bin_words, (index + 1) * lengths.bin_words - 1
        words = f"{first} words or more" if index + 1 == len(lengths.bins) else f"{first}–{last} words"
        columns.append(Column(index * wide + 0.75, _HISTOGRAM_HEIGHT - tall, wide - 1.5, tall, f"{words}: {count:,}"))
    end = lengths.bin_words * len(lengths.bins)
    median_x, p95_x = (_HISTOGRAM_WIDTH * min((x + 0.5) / end, 1.0) for x in (lengths.median, lengths.p95))
    return Histogram(title, lengths, tuple(columns), median_x, p95_x, end)


def _percent(share: Any) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
