"""Stage `evaluate`: a tuned model in; a scorecard with intervals and baselines, and a page to show it, out.

Leaves ``scorecard.json``, ``scorecard.html``, ``predictions.jsonl``, the baselines' drafts in ``baselines/`` and those
for changed films and questions in ``probes/``, each in the form that `radlet score` reads. Drafts are written as they
come, so that a killed evaluation goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from radlet.core.config import StageConfig, of_its_kind
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, DataError
from radlet.core.labeller import Labeller
from radlet.core.records import Example, Split
from radlet.core.runs import Run, open_run, write_atomically
from radlet.data.examples import Films, select_films
from radlet.data.images import read_film, resize_film
from radlet.data.labellers import LABELLERS
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.manifests import read_examples
from radlet.evaluation import TASKS
from radlet.evaluation.calibration import Calibrator
from radlet.evaluation.calibration_panel import calibration_line
from radlet.evaluation.calibration_result import Calibration
from radlet.evaluation.encoder_scores import EncoderScores, score_encoder
from radlet.evaluation.finding_probabilities import FindingProbabilities, JudgedRows, training_wordings
from radlet.evaluation.grounding import DRAWN, Gaze, Grounder, GroundingSettings, describe_grounding
from radlet.evaluation.grounding_panel import grounding_line
from radlet.evaluation.grounding_pictures import GroundedPicture, boxed_uri
from radlet.evaluation.lineage import describe, upstream_runs
from radlet.evaluation.looking import describe_looking
from radlet.evaluation.marks import mark_draft, marked_phrases
from radlet.evaluation.page import looking_line, primary_metric, render_page
from radlet.evaluation.pictures import Overlay, Picture, draw_rows, film_uri, overlay_uri
from radlet.evaluation.probes import Probes, ProbeSettings
from radlet.evaluation.readings import Readings, truth_observations
from radlet.evaluation.runner import Draft, draft_all
from radlet.evaluation.scorecard import ProbeResult, Scorecard, number_text
from radlet.evaluation.scorers.base import ScorerSettings
from radlet.evaluation.scorers.loading import Scorers, listing_digest, weights_lineage
from radlet.evaluation.scoring import (
    MODEL,
    Answers,
    Measure,
    diversity,
    observation_results,
    occurring_observations,
    score_answers,
)
from radlet.evaluation.subgroups import describe_subgroups, example_attributes
from radlet.evaluation.systems import Systems
from radlet.evaluation.tasks.base import Choose, Material, ReportWriter, Rows, Task
from radlet.evaluation.text_only import TextModelConfig, TextOnly
from radlet.inference.attention import find_phrase
from radlet.inference.drafter import Drafter
from radlet.inference.text_writer import TextWriter
from radlet.metrics.resampling import Interval, PatientResampler
from radlet.retrieval.embedding import Embedder
from radlet.stages.announce import announce_finished, announce_start

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console

_PICTURE_PX = 336
_MAX_OVERLAYS = 2
REPORT_TASKS = ("findings", "impression")
"""Tasks whose drafts are reports, which name findings."""


class EvaluateConfig(StageConfig):
    """Settings of the evaluate stage."""

    examples: Path
    """Run directory of `build`."""
    checkpoint: Path
    """Run directory of `finetune`: the model that is judged."""
    no_image_checkpoint: Path | None = None
    """Run directory of a `finetune` without films, for the baseline `no_image`."""
    encoder: Path | None = None
    """Run directory of `pretrain`, for retrieval and the baseline `nearest_neighbour`."""
    text_model: TextModelConfig | None = None
    """A language model that never saw a film, for the baseline `text_only`; none: it is not run."""
    task: str = "findings"
    """What is asked of the model; a name from the registry of tasks."""
    choose: Choose = "likelihood"
    """How the model takes one of several options: the likeliest, the one that the film makes likelier than no film
    does (`contrast`), or the one that it writes (`generated`). Tasks without options have no use for it."""
    split: Split = "test"
    """Which patients are judged."""
    films: Films | None = None
    """Which films of a study the model is shown; by default those it was trained on."""
    max_studies: int | None = Field(default=None, ge=1)
    """Judge so many studies only, drawn by the seed."""
    weights_dir: Path | None = None
    """Folder with the weights of metrics that run a model; those whose weights are there are computed too."""
    weights_digest: str = ""
    """Digest of the names and sizes of the files there; found when the recipe is read."""
    scorers: ScorerSettings = ScorerSettings()
    """How metrics that run a model are run."""
    num_resamples: int = Field(default=1000, ge=1)
    """Bootstrap resamples of the patients, and swaps of the paired test."""
    interval: Interval = "percentile"
    """Kind of the bootstrap's intervals: percentiles, or bias-corrected and accelerated."""
    min_subgroup: int = Field(default=20, ge=2)
    """Groups of fewer patients (by sex, age, view, scanner ...) have no number."""
    age_bands: tuple[int, ...] = Field(default=(18, 40, 60, 80), min_length=1)
    """First ages, in years, of the groups by age but the youngest."""
    max_probe_drafts: int = Field(default=64, ge=1)
    """Each probe of whether the model looks drafts so many reports at most, drawn by the seed."""
    labeller: SerializeAsAny[Labeller] = RuleLabeller()
    """What reads the observations off references and drafts for their metrics: a table with its ``kind``. All else
    (sides, statements, probes, the marks on the page) is always read by the rules."""
    max_grounding_reports: int = Field(default=128, ge=0)
    """Attention is held against the boxes of findings in so many reports at most, drawn by the seed; 0: in none."""
    max_deletion_reports: int = Field(default=32, ge=0)
    """In so many of them patches are greyed out and shown in the order of the map, the costly part."""
    max_calibration_reports: int = Field(default=256, ge=0)
    """Probabilities of findings are read off the likelihoods of so many reports at most, and fitted on as many of the
    dev split; 0: they are not."""
    num_wordings: int = Field(default=6, ge=1)
    """So many sentences of the training reports stand for each observation in these likelihoods."""
    batch_size: int = Field(default=16, ge=1)
    """Drafts written at once."""
    num_pictures: int = Field(default=6, ge=0)
    """Films on the page, drawn at random; as many again show the worst drafts."""

    @field_validator("labeller", mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any) -> Any:
        return of_its_kind(LABELLERS, value)

    @field_validator("age_bands")
    @classmethod
    def _rising(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
        if any(after <= first for first, after in pairwise((0, *bands))):
            raise ValueError(f"ages must rise from above 0; they are {', '.join(map(str, bands))}")
        return bands

    @property
    def inputs(self) -> dict[str, Path]:
        """The upstream runs that are given, by field."""
        given = {
            "examples": self.examples,
            "checkpoint": self.checkpoint,
            "no_image_checkpoint": self.no_image_checkpoint,
            "encoder": self.encoder,
        }
        return {name: path for name, path in given.items() if path is not None}

    def model_post_init(self, _context: Any, /) -> None:
        """Note what lies in the folder of weights, so that a run is told apart from one with others."""
        digest = listing_digest(self.weights_dir) if self.weights_dir else ""
        object.__setattr__(self, "weights_digest", digest)


def run(config: EvaluateConfig, console: "Console | None" = None) -> Path:
    """Judge the model and return the run directory."""
    run_ = open_run(config, "evaluate", config.inputs)
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "evaluate", run_.path)
    announce_start(progress.console, "evaluate", run_.path)
    scorers = Scorers(config.weights_dir, config.scorers, progress)
    if scorers.names:
        progress.console.print(f"  metrics that run a model: {', '.join(scorers.names)}", soft_wrap=True)
    task: Task = TASKS[config.task]()
    drafter = Drafter.load(config.checkpoint)
    embedder = Embedder.load(config.encoder) if config.encoder else None
    rows, training = _rows(config, task, drafter, embedder)
    judged = rows.judged
    progress.console.print(f"  {len(judged)} drafts of the {config.split} split by each system")
    for reason, count in rows.left_out.items():
        progress.console.print(f"  {count} examples left out: {reason}")
    model = task.writer(drafter, config.choose)
    blind = _blind(config, task)
    systems = {
        **Systems(task, judged, training, config.seed, config.batch_size).table(model, blind, embedder),
        **_text_only(config, task, judged, training),
    }
    answers = _collect(run_, task, judged, systems, progress)
    answers = replace(answers, readings=Readings(config.labeller, progress, scorers))
    upstream = upstream_runs(run_.path)
    settings = ProbeSettings(config.max_probe_drafts, config.seed, drafter.image_settings.size_px)
    probes = _look(config, run_, Probes(task, judged, answers.systems[MODEL], settings), model, progress)
    chosen = task.measures(judged, answers)
    with scorers:
        card = _score(config, task, judged, answers, chosen, embedder)
    read_off = sorted((one for one in chosen if one.name in task.looking), key=lambda one: task.looking.index(one.name))
    looking = describe_looking(card, answers, _resampler(config, answers), probes, read_off)
    told = {
        "lineage": describe(upstream) | weights_lineage(scorers),
        "trained_section": drafter.card.target_section,
        "looking": looking.model_copy(update={"counted": task.reads}),
        "rows_left_out": rows.left_out,
    }
    card = card.model_copy(update=told | dict(task.results(judged, answers, _resampler(config, answers))))
    inspector = _Inspector(config, task, drafter, embedder, judged, training, answers, progress)
    gazes = inspector.ground()
    grounding = describe_grounding(gazes, answers.patients, config.num_resamples, config.seed, config.interval)
    card = card.model_copy(update={"grounding": grounding, "calibration": inspector.calibrate(run_)})
    card.save(run_.path / "scorecard.json")
    artist = _Artist(task, drafter, judged, answers)
    typical = [artist.picture(row, True) for row in task.typical(judged, answers, config.num_pictures, config.seed)]
    failed = task.worst(judged, answers, config.num_pictures)
    worst = [artist.picture(row, False) for row in failed]
    shown = draw_rows(gazes, config.num_pictures, config.seed)
    grounded = [artist.grounded(gaze) for gaze in shown]
    page = render_page(card, config.name, upstream, typical, worst, grounded)
    write_atomically(run_.path / "scorecard.html", page)
    _announce_score(progress.console, card)
    for line in (looking_line(card), grounding_line(card), calibration_line(card)):
        if line:
            progress.console.print(f"  {line}")
    run_.finish()
    return run_.path


def _blind(config: EvaluateConfig, task: Task) -> ReportWriter | None:
    if config.no_image_checkpoint is None:
        return None
    return task.writer(Drafter.load(config.no_image_checkpoint), config.choose)


def _text_only(
    config: EvaluateConfig, task: Task, judged: Sequence[Example], training: Sequence[Example]
) -> dict[str, Draft]:
    if config.text_model is None:
        return {}
    model = TextWriter.load(config.text_model.path)
    return {
        "text_only": TextOnly(task, training, config.text_model, config.seed).draft(judged, model, config.batch_size)
    }


def _rows(
    config: EvaluateConfig, task: Task, drafter: Drafter, embedder: Embedder | None
) -> tuple[Rows, list[Example]]:
    """Return the rows that are judged and the training rows that baselines copy from."""
    films = config.films or _trained_films(drafter)
    built = read_examples(config.examples)
    examples = [example for example in built if task.accepts(example)]
    if not examples and built:
        section = "answer" if any(example.question for example in built) else built[0].target_section
        fit = [name for name in TASKS if any(TASKS[name]().accepts(example) for example in built)]
        raise DataError(
            f"{config.examples}: was built with section = '{section}' and holds nothing that the task '{config.task}' "
            f"can judge. Tasks that can: {', '.join(fit) or 'none'}."
        )
    studies = [example for example in examples if example.split == config.split]
    if config.max_studies is not None and len(studies) > config.max_studies:
        chosen = np.random.default_rng(config.seed).choice(len(studies), config.max_studies, replace=False)
        studies = [studies[i] for i in np.sort(chosen)]
    judged = select_films(studies, films)
    if not judged:
        raise DataError(
            f"The split '{config.split}' has no study with a text and a film of the kind '{films}'. "
            "Look into the build run's summary.json, or judge another split."
        )
    training = select_films([example for example in examples if example.split == "train"], films)
    return task.rows(Material(judged, training, drafter.card.target_section, embedder, config.seed)), training


def _collect(
    run_: Run, task: Task, judged: Sequence[Example], systems: Mapping[str, Draft], progress: Progress
) -> Answers:
    """Collect the drafts of every system, going on where a killed evaluation stopped."""
    references = [task.reference(example) for example in judged]
    (run_.path / "baselines").mkdir(exist_ok=True)
    drafts = {}
    for name, draft in systems.items():
        file = run_.path / ("predictions.jsonl" if name == MODEL else f"baselines/{name}.jsonl")
        drafts[name] = draft_all(file, judged, references, draft, progress)
    truths = [example.truth for example in judged if example.truth is not None]
    patients = [example.patient_id for example in judged]
    return Answers(references, patients, drafts, truths if len(truths) == len(judged) else None)


def _look(
    config: EvaluateConfig, run_: Run, probes: Probes, model: ReportWriter, progress: Progress
) -> dict[str, ProbeResult]:
    """Draft again with what the model sees changed, going on where a killed evaluation stopped; judge the drafts."""
    (run_.path / "probes").mkdir(exist_ok=True)
    drafts = {}
    for name, (rows, references) in probes.asked.items():
        file = run_.path / "probes" / f"{name}.jsonl"
        drafts[name] = draft_all(file, rows, references, probes.draft(name, model, config.batch_size), progress)
    return probes.results(drafts, config.num_resamples, config.interval)


def _score(
    config: EvaluateConfig,
    task: Task,
    judged: Sequence[Example],
    answers: Answers,
    chosen: Sequence[Measure],
    embedder: Embedder | None,
) -> Scorecard:
    resampler = _resampler(config, answers)
    scores = score_answers(answers, resampler, chosen)
    reports = task.reads == "reports"
    encoder = score_encoder(judged, embedder, resampler, config.seed) if embedder and reports else EncoderScores()
    drafts = answers.systems[MODEL]
    support, truth_support = {}, {}
    if reports:
        expected = answers.readings.of(answers.references, "observations")
        support = observation_results(expected, drafts, resampler, readings=answers.readings)
    if reports and answers.truth is not None:
        present = [truth_observations(findings) for findings in answers.truth]
        occurring = occurring_observations(answers.truth)
        truth_support = observation_results(present, drafts, resampler, occurring, answers.readings)
    return Scorecard(
        task=config.task,
        task_version=task.version,
        split=config.split,
        section=judged[0].target_section,
        num_studies=len({example.study_id for example in judged}),
        num_reports=len(judged),
        num_patients=resampler.num_patients,
        num_resamples=config.num_resamples,
        interval=config.interval,
        metrics=scores.estimates.pop(MODEL) | encoder.recalls,
        baselines=scores.estimates,
        paired=scores.paired,
        paired_all=scores.paired_all,
        judged=scores.judged,
        unscored=scores.unscored,
        retrieval=encoder.beside,
        encoder_auroc=encoder.aurocs,
        support=support,
        labeller=config.labeller.kind,
        labeller_sha256=getattr(config.labeller, "sha256", None),
        truth_support=truth_support,
        subgroups=describe_subgroups(
            example_attributes(judged, config.age_bands), answers, resampler, config.min_subgroup
        ),
        diversity=diversity(answers),
    )


def _resampler(config: EvaluateConfig, answers: Answers) -> PatientResampler:
    return PatientResampler(answers.patients, config.num_resamples, config.seed, config.interval)


@dataclass(frozen=True)
class _Inspector:
    """Looks into the model beyond its drafts: what its words were read off, and how sure it is of them."""

    config: EvaluateConfig
    task: Task
    drafter: Drafter
    embedder: Embedder | None
    judged: Sequence[Example]
    training: Sequence[Example]
    answers: Answers
    progress: Progress

    def ground(self) -> list[Gaze]:
        """Hold attention against the boxes of rightly drafted findings."""
        config = self.config
        if config.task not in REPORT_TASKS:
            return []
        most = config.max_grounding_reports, config.max_deletion_reports
        settings = GroundingSettings(*most, config.seed, config.batch_size)
        grounder = Grounder(self.task, self.judged, self.answers.systems[MODEL], self.training, settings)
        return grounder.look(self.drafter, self.progress)

    def calibrate(self, run_: Run) -> Calibration | None:
        """Judge probabilities of findings, and leave them in ``probabilities.jsonl``."""
        config = self.config
        wordings = training_wordings(self.training, config.num_wordings)
        split, fitted = self._rows_to_fit_on()
        if config.task not in REPORT_TASKS or not (config.max_calibration_reports and wordings and fitted):
            return None
        chosen = draw_rows(range(len(self.judged)), config.max_calibration_reports, config.seed)
        drafts = [self.answers.systems[MODEL][row] for row in chosen]
        rows = JudgedRows([self.judged[row] for row in chosen], drafts, fitted)
        probabilities = FindingProbabilities(self.task, wordings, config.batch_size)
        evidence = probabilities.gather(self.drafter, rows, self.embedder, self.progress)
        patients = [row.patient_id for row in rows.judged]
        resampler = PatientResampler(patients, config.num_resamples, config.seed, config.interval)
        calibrator = Calibrator(evidence, resampler)
        write_atomically(run_.path / "probabilities.jsonl", calibrator.lines(rows.judged))
        return calibrator.describe(split, config.num_wordings)

    def _rows_to_fit_on(self) -> tuple[Split, list[Example]]:
        """Return rows that are not judged: of dev where there are any, else of train."""
        config = self.config
        films = config.films or _trained_films(self.drafter)
        dev = [row for row in read_examples(config.examples) if row.split == "dev" and self.task.accepts(row)]
        split: Split = "dev" if dev and config.split != "dev" else "train"
        rows = select_films(dev, films) if split == "dev" else self.training
        return split, draw_rows(rows, config.max_calibration_reports, config.seed)


@dataclass(frozen=True)
class _Artist:
    """Draws the page's films."""

    task: Task
    drafter: Drafter
    judged: Sequence[Example]
    answers: Answers

    def grounded(self, gaze: Gaze) -> GroundedPicture:
        """Draw the film of a case with its boxes, and with the map that is drawn."""
        case, pointing = gaze.case, gaze.pointing[DRAWN]
        pixels = self._film(case.row)
        phrase = self.answers.systems[MODEL][case.row][slice(*case.span)]
        film, overlay = boxed_uri(pixels, case.boxes), boxed_uri(pixels, case.boxes, gaze.maps[DRAWN])
        return GroundedPicture(case.row + 1, phrase, film, overlay, pointing.hit > 0, pointing.share, pointing.area)

    def _film(self, row: int) -> "NDArray[np.uint8]":
        """Return one row's first film, as the model saw it but larger."""
        settings = self.drafter.image_settings.model_copy(update={"size_px": _PICTURE_PX})
        return resize_film(read_film(Path(self.judged[row].image_paths[0])).pixels, settings)

    def picture(self, row: int, with_attention: bool) -> Picture:
        """Draw one row's first film, as the model saw it but larger, and where it looked."""
        example = self.judged[row]
        draft, reference = self.answers.systems[MODEL][row], self.answers.references[row]
        pixels = self._film(row)
        overlays: list[Overlay] = []
        phrases = marked_phrases(mark_draft(draft, reference))[:_MAX_OVERLAYS] if with_attention else []
        if phrases:
            spans = [find_phrase(draft, phrase) for phrase in phrases]
            maps = self.drafter.attention(self.task.request(example, example.image_paths), draft, spans)
            overlays = [
                Overlay(phrase, overlay_uri(pixels, one.weighted)) for phrase, one in zip(phrases, maps, strict=True)
            ]
        return Picture(row + 1, film_uri(pixels), reference, draft, tuple(overlays), example.question)


def _trained_films(drafter: Drafter) -> Films:
    trained = drafter.card.films
    for films in get_args(Films):
        if films == trained:
            return cast("Films", films)
    raise CheckpointError(
        f"The checkpoint was tuned with films = '{trained}', so there is nothing to show it. Give the model tuned with "
        "films as `checkpoint`, and this one as `no_image_checkpoint`."
    )


def _announce_score(console: "Console", card: Scorecard) -> None:
    name = primary_metric(card)
    systems = {MODEL: card.metrics} | card.baselines
    for system, scores in systems.items():
        score = scores[name]
        value, low, high = (number_text(number) for number in (score.value, score.low, score.high))
        console.print(f"  {name}  {value}  [dim]{low} to {high}[/]  {system}")
