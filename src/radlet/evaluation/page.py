"""Render a scorecard as one self-contained HTML file: no script, no font, no image and no request from outside.

The page has tabs, which the address chooses: ``scorecard.html#findings``. A tab is one template in ``templates/tabs``
that lists its sections, one template each; a tab without a section that has anything to show is left out.
Cases are named by their row in ``predictions.jsonl`` and runs by their folder's name, so that the page holds no
identifier and no path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment

from radlet.core.records import OBSERVATIONS_5
from radlet.evaluation.answer_words import ANSWER_GROUPS, ANSWER_PROBES, BESIDE, LEADS, QUESTION_ONLY, SIGNS, Lead
from radlet.evaluation.calibration_panel import calibration_panel
from radlet.evaluation.charts import HEIGHT, WIDTH, Bar, area_bar, bar, loss_chart, row_scale
from radlet.evaluation.encoder_scores import MIN_STUDIES
from radlet.evaluation.grounding_panel import grounding_panel
from radlet.evaluation.grounding_pictures import GroundedPicture
from radlet.evaluation.lineage import UpstreamRun
from radlet.evaluation.looking import MIN_PATIENTS, SHUFFLED
from radlet.evaluation.marks import mark_draft, mark_reference
from radlet.evaluation.pages import page_environment
from radlet.evaluation.pictures import Picture
from radlet.evaluation.scorecard import LabelAuroc, ObservationResult, PairedResult, ProbeResult, Scorecard, number_text
from radlet.evaluation.scoring import MODEL
from radlet.evaluation.subgroup_rows import is_clear, subgroup_table
from radlet.metrics import METRICS
from radlet.metrics.resampling import Estimate
from radlet.metrics.retrieval import RECALL_AT

TABS = {
    "overview": "Overview",
    "scores": "Scores",
    "findings": "Findings",
    "answers": "Answers",
    "looking": "Looking",
    "encoder": "Retrieval and encoder",
    "cases": "Cases",
    "training": "Training and lineage",
}
"""Tab, which is also its template's name and its place in the address -> title."""
SYSTEM_TITLES = {
    "constant": "Constant",
    "no_image": "No image",
    "shuffled_image": "Shuffled image",
    "nearest_neighbour": "Nearest neighbour",
    "text_only": "Text only",
}
SYSTEM_HINTS = {
    "constant": "the training report that scores best as everyone's answer",
    "no_image": "the same recipe tuned and asked without any film",
    "shuffled_image": "the model given another patient's film",
    "text_only": "a plain language model, told the indication and shown training reports of similar ones, no film",
    "nearest_neighbour": "the report of the training film nearest in the encoder's embedding",
}
PROBES: dict[str, tuple[str, str, bool]] = {
    "blank": ("Blank film", "findings that disappear", True),
    "noise": ("Noise in the film's place", "findings that disappear", True),
    "mirrored": ("Left and right exchanged", "one-sided findings that change side", True),
    "occluded": ("The finding painted over", "findings that disappear", True),
    "shifted": ("Shifted by one pixel", "drafts with the same observations", True),
    "reencoded": ("Saved as JPEG", "drafts with the same observations", True),
    "paraphrased": ("The question in other words", "drafts with other observations", False),
}
"""Probe -> what was changed, what the share is of, and whether 1 is best (else 0)."""
GROUPS: dict[str, dict[str, str]] = {
    "Findings, against the exact truth": {
        "truth_f1_micro": "F1, micro",
        "truth_f1_macro": "F1, macro",
        "truth_precision_micro": "Precision",
        "truth_recall_micro": "Recall",
        "truth_laterality": "Right side, of one-sided findings",
    },
    "Findings, against the reference report": {
        "observation_f1_micro_14": "F1, micro, 14 observations",
        "observation_f1_macro_14": "F1, macro, 14",
        "observation_f1_micro_13": "F1, micro, without No Finding",
        "observation_f1_macro_13": "F1, macro, without No Finding",
        "observation_f1_micro_5": "F1, micro, 5",
        "observation_f1_macro_5": "F1, macro, 5",
        "observation_precision_micro_14": "Precision, micro, 14",
        "observation_recall_micro_14": "Recall, micro, 14",
        "observation_f1_micro_14_with_uncertain": "F1, micro, 14, uncertain counts",
        "observation_f1_macro_14_with_uncertain": "F1, macro, 14, uncertain counts",
        "laterality": "Right side, of one-sided findings",
        "severity_agreement": "Right degree, of graded findings",
        "negation_agreement": "Presence agreed, of what both name",
    },
    "Statements, by the rule judge": {
        "rule_judge_credit": "Weight of findings accounted for",
        "rule_judge_errors": "Errors a report",
        "rule_judge_significant_errors": "Significant errors a report",
        "statement_f1_simple": "Statement F1, simple",
        "statement_f1_partial": "Statement F1, partial",
        "statement_f1_complete": "Statement F1, complete",
        "statement_f1_at_equal_length": "Statement F1, simple, at equal length",
    },
    "What must not happen": {
        "critical_misses": "Reports with a critical finding missed",
        "critical_misses_pneumothorax": "Pneumothorax missed",
        "critical_misses_malposition": "Misplaced tube or line missed",
        "critical_misses_large_effusion": "Large effusion missed",
        "prior_hallucination": "Earlier exam made up",
    },
    "Words": {
        "bleu_1": "BLEU-1",
        "bleu_2": "BLEU-2",
        "bleu_3": "BLEU-3",
        "bleu_4": "BLEU-4",
        "rouge_1": "ROUGE-1",
        "rouge_2": "ROUGE-2",
        "rouge_l": "ROUGE-L",
        "meteor_exact_stem": "METEOR without synonyms",
        "cider": "CIDEr-D, of 10",
        "edit_distance_words": "Words to change, of the longer text",
    },
    **ANSWER_GROUPS,
    "Shape of the text": {
        "length_words": "Words a draft",
        "length_ratio": "Length over reference",
        "repetition_4": "Runs of four words said twice",
    },
}
SIDES = ("truth_laterality", "laterality")
FEW_CASES = (
    *SIDES,
    *(name for title in ("Closed questions", "Open questions") for name in ANSWER_GROUPS[title]),
    "severity_agreement",
    "negation_agreement",
    "critical_misses",
    "critical_misses_pneumothorax",
    "critical_misses_malposition",
    "critical_misses_large_effusion",
)
"""Shares that may be of few cases, or of none, so that the number of cases stands beside them."""
_FEW_LABELS = 6
"""So many labels stand in one column."""
NOTABLE_PACKAGES = ("torch", "transformers", "peft", "numpy", "pydicom", "sacrebleu", "rouge-score")


@dataclass(frozen=True)
class Tab:
    """One tab of the page."""

    name: str
    title: str
    content: str
    """HTML of its sections."""


@dataclass(frozen=True)
class Cell:
    """One score of the table."""

    estimate: Estimate
    bar: Bar | None
    judged: int | None
    """How many cases it is the share of, where few may be."""


@dataclass(frozen=True)
class TableRow:
    """One metric of the table: the model, the baselines in order, and the paired comparison."""

    name: str
    label: str
    model: Cell
    baselines: tuple[Cell | None, ...]
    paired: PairedResult | None
    scale: float
    sign: int
    """1 where higher is better, -1 where lower is, 0 for a description."""

    @property
    def verdict(self) -> str:
        """Return "good" or "bad" where the model is clearly better or worse than the best baseline."""
        if self.paired is None or self.paired.low <= 0 <= self.paired.high:
            return ""
        return "good" if self.sign * self.paired.difference > 0 else "bad"


@dataclass(frozen=True)
class ObservationRow:
    """One observation of the table."""

    name: str
    result: ObservationResult
    bar: Bar | None
    in_five: bool


@dataclass(frozen=True)
class ProbeRow:
    """One probe of the panel."""

    title: str
    counted: str
    result: ProbeResult
    bar: Bar | None
    control: Bar | None
    best: float


def render_page(
    card: Scorecard,
    model_name: str,
    upstream: Sequence[UpstreamRun],
    typical: Sequence[Picture] = (),
    worst: Sequence[Picture] = (),
    grounded: Sequence[GroundedPicture] = (),
) -> str:
    """Return the page.

    Args:
        card: The numbers.
        model_name: Heading.
        upstream: The runs the model was made from, for curves, counts and lineage.
        typical: Films drawn at random, with attention.
        worst: Films of the worst drafts.
        grounded: Boxed findings with the map of their phrase.
    """
    environment = page_environment()
    environment.globals |= {"mark_draft": mark_draft, "mark_reference": mark_reference, "chart_size": (WIDTH, HEIGHT)}
    environment.filters |= {"score": _score, "signed": _signed, "p_value": _p_value, "system": _title}
    environment.filters |= {"bar": bar, "area_bar": area_bar, "percentage": _percentage, "clear": is_clear}
    titles = SYSTEM_TITLES | (QUESTION_ONLY if card.questions else {})
    shown = {
        "card": card,
        "model_name": model_name,
        "date": datetime.now(UTC).date().isoformat(),
        "headline": _headline(card),
        "systems": [(name, titles.get(name, name), SYSTEM_HINTS.get(name, "")) for name in card.baselines],
        "looking": _looking(card),
        "groups": _groups(card),
        "observations": _observation_rows(card),
        "against_truth": bool(card.truth_support),
        "subgroups": subgroup_table(card, primary_metric(card)),
        "retrieval": _retrieval(card),
        "label_columns": _label_columns(card),
        "min_studies": MIN_STUDIES,
        "charts": [chart for run in upstream if (chart := loss_chart(run))],
        "answers": bool(card.questions or card.choices),
        "labels_of": {name: label for names in GROUPS.values() for name, label in names.items()},
        "typical": typical,
        "worst": worst,
        "grounded": grounded,
        "grounding": grounding_panel(card),
        "calibration": calibration_panel(card),
        "upstream": upstream,
        "environment": _environment(upstream),
    }
    return environment.get_template("page.html.j2").render(shown, tabs=_tabs(environment, shown))


def _tabs(environment: Environment, shown: dict[str, Any]) -> list[Tab]:
    """Return the tabs that have anything to show."""
    contents = {name: environment.get_template(f"tabs/{name}.html.j2").render(shown).strip() for name in TABS}
    return [Tab(name, TABS[name], content) for name, content in contents.items() if content]


def primary_metric(card: Scorecard) -> str:
    """Return the metric that heads the page: F1 against the truth where it is known, else against the references."""
    names = [name for name in ("truth_f1_micro", "observation_f1_micro_14", *card.metrics) if name in card.metrics]
    return next((name for name in names if card.metrics[name].defined and _sign(name) > 0), names[0])


def _sign(name: str) -> int:
    """Return which way a metric is better; those outside of the registry (truth, retrieval) are better when higher."""
    return int(METRICS[name].sign) if name in METRICS else SIGNS.get(name, 1)


def looking_line(card: Scorecard) -> str:
    """Say in one line whether the model looks, what the film explains, and what the probes gave."""
    if card.looking is None:
        return "not probed"
    answer = {True: "yes", False: "no", None: "unclear"}[card.looking.looks]
    parts = []
    name, share = _leading_share(card)
    if share is not None:
        value, low, high = (number_text(n if n is None else 100 * n, 0) for n in (share.value, share.low, share.high))
        parts.append(f"{value} % ({low} to {high}) of {name} is due to the film")
    shares = {name: result.value for name, result in card.looking.probes.items()}
    parts += [f"{name} {number_text(value, 2)}" for name, value in shares.items()]
    return f"looks at the film: {answer}" + ("; " + ", ".join(parts) if parts else "")


def _leading_share(card: Scorecard) -> tuple[str, Estimate | None]:
    shares = card.looking.share_explained if card.looking else {}
    return next(((name, share) for name, share in shares.items() if share.defined), ("", None))


def _looking(card: Scorecard) -> dict[str, Any] | None:
    if card.looking is None:
        return None
    name, share = _leading_share(card)
    results = card.looking.probes
    told = PROBES if card.looking.counted == "reports" else PROBES | ANSWER_PROBES
    return {
        "looks": card.looking.looks,
        "min_patients": MIN_PATIENTS,
        "share": share,
        "bar": bar(share) if share else None,
        "margins": [
            (metric, card.paired_all[metric][SHUFFLED])
            for metric in card.looking.share_explained
            if SHUFFLED in card.paired_all.get(metric, {})
        ],
        "metric": _METRIC_TITLES.get(name, name),
        "titles": _METRIC_TITLES,
        "probes": [
            ProbeRow(
                title, counted, results[probe], bar(_estimate(results[probe])), _control(results[probe]), float(best)
            )
            for probe, (title, counted, best) in told.items()
            if probe in results
        ],
    }


_METRIC_TITLES = {
    "truth_f1_micro": "F1 against the exact truth",
    "observation_f1_micro_13": "F1 of 13 observations against the reports",
    "closed_accuracy": "accuracy of closed questions",
    "open_token_recall": "recall of words of open questions",
    "multiple_choice_accuracy": "accuracy of each asking",
    "pairs_individual_accuracy": "accuracy of each film",
}


def _estimate(result: ProbeResult) -> Estimate:
    return Estimate(result.value, result.low, result.high)


def _control(result: ProbeResult) -> Bar | None:
    return bar(result.control) if result.control else None


MIN_SIDES = 10
"""The overview gives no share of fewer one-sided findings: all of three rightly placed would read as 100 %."""


def _headline(card: Scorecard) -> dict[str, Any]:
    name = primary_metric(card)
    paired = card.paired.get(name)
    side = next((n for n in SIDES if n in card.metrics and card.metrics[n].defined), None)
    return {
        "primary": card.metrics[name],
        "lead": LEADS.get(name, Lead("Findings named, F1", f"micro-averaged, against {_against(name)}")),
        "beside": card.metrics.get(BESIDE.get(name, "")),
        "beside_words": LEADS.get(BESIDE.get(name, "")),
        "rivals": [
            (SYSTEM_TITLES.get(system, system), place)
            for system, scores in card.baselines.items()
            if name in scores and (place := bar(scores[name]))
        ],
        "paired": paired,
        "unbeaten": [_title(system) for system, result in card.paired_all.get(name, {}).items() if result.low <= 0],
        "rival": _title(paired.baseline) if paired else None,
        "side": card.metrics[side] if side else None,
        "num_sides": card.judged.get(side, {}).get(MODEL) if side else None,
        "least_sides": MIN_SIDES,
        "words": card.metrics.get("rouge_l"),
    }


def _against(name: str) -> str:
    return "the exact truth" if name.startswith("truth") else "the reference reports"


def _title(system: str) -> str:
    return SYSTEM_TITLES.get(system, system).lower()


def _groups(card: Scorecard) -> list[tuple[str, list[TableRow]]]:
    shown = {name for names in GROUPS.values() for name in names}
    others = {name: name for name in card.metrics if name in METRICS and name not in shown and "_with_" not in name}
    tables = [(title, _table_rows(card, names)) for title, names in [*GROUPS.items(), ("Other", others)]]
    return [(title, rows) for title, rows in tables if rows]


def _table_rows(card: Scorecard, names: dict[str, str]) -> list[TableRow]:
    rows = []
    for name, label in names.items():
        if name not in card.metrics:
            continue
        shown = {system: scores[name] for system, scores in card.baselines.items() if name in scores}
        scale = row_scale([card.metrics[name], *shown.values()])
        judged = card.judged.get(name, {}) if name in FEW_CASES else {}
        cells = {system: Cell(one, bar(one, scale), judged.get(system)) for system, one in shown.items()}
        model = Cell(card.metrics[name], bar(card.metrics[name], scale), judged.get(MODEL))
        baselines = tuple(cells.get(system) for system in card.baselines)
        rows.append(TableRow(name, label, model, baselines, card.paired.get(name), scale, _sign(name)))
    return rows


def _observation_rows(card: Scorecard) -> list[ObservationRow]:
    results = card.truth_support or card.support
    rows = [ObservationRow(name, result, bar(result.f1), name in OBSERVATIONS_5) for name, result in results.items()]
    return sorted(rows, key=lambda row: -row.result.support)


def _retrieval(card: Scorecard) -> list[tuple[str, list[dict[str, Any]]]]:
    ways = (("image_to_text", "Film → report"), ("text_to_image", "Report → film"))
    return [
        (
            title,
            [
                {
                    "k": k,
                    "estimate": card.metrics[f"{way}_recall_at_{k}"],
                    "chance": card.retrieval[f"chance_{way}_recall_at_{k}"],
                    "times": card.retrieval[f"times_chance_{way}_recall_at_{k}"],
                }
                for k in RECALL_AT
            ],
        )
        for way, title in ways
        if f"{way}_recall_at_1" in card.metrics
    ]


def _label_columns(card: Scorecard) -> list[list[tuple[str, LabelAuroc]]]:
    """Return the labels, most frequent first, as the columns they stand in side by side."""
    rows = sorted(card.encoder_auroc.items(), key=lambda item: -item[1].positives)
    height = max(-(-len(rows) // 2), _FEW_LABELS)
    return [rows[start : start + height] for start in range(0, len(rows), height)]


def _environment(upstream: Sequence[UpstreamRun]) -> dict[str, str]:
    recorded = next((run.environment for run in reversed(upstream) if run.environment), {})
    packages = recorded.get("packages", {})
    shown = {"radlet": recorded.get("radlet"), "Python": recorded.get("python"), "CPUs": recorded.get("num_cpus")}
    shown |= {name: packages.get(name) for name in NOTABLE_PACKAGES}
    return {name: str(version) for name, version in shown.items() if version is not None}


def _score(value: float | None, digits: int = 3) -> str:
    """Write a score; large ones (word counts) with one digit."""
    return number_text(value, 1 if value is not None and abs(value) >= 10 else digits)


def _signed(value: float, digits: int = 2) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percentage(value: float) -> str:
    return f"{100 * value:.0f}".replace("-", "\N{MINUS SIGN}")


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
