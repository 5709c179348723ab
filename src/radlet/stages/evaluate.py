"""Stage `evaluate`: a tuned model in; a scorecard with intervals and baselines, and a page to show it, out.

Leaves ``scorecard.json``, ``scorecard.html``, ``predictions.jsonl``, the baselines' drafts in ``baselines/`` and those
for changed films and questions in ``probes/``, each in the form that `radlet score` reads. Drafts are written as they
come, so that a killed evaluation goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast, get_args

import numpy as np
from pydantic import Field, SerializeAsAny, field_validator

from radlet.core.config import StageConfig, of_its_kind
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, DataError
from radlet.core.labeller import Labeller
from radlet.core.records import Example, Split
from radlet.core.runs import Run, open_run, write_atomically
from radlet.data.examples import Films, check_films, select_films
from radlet.data.labellers import LABELLERS
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.manifests import read_examples
from radlet.evaluation import TASKS
from radlet.evaluation.artist import Artist
from radlet.evaluation.calibration import Calibrator
from radlet.evaluation.calibration_result import Calibration
from radlet.evaluation.encoder_scores import EncoderScores, score_encoder
from radlet.evaluation.finding_probabilities import FindingProbabilities, JudgedRows, rows_to_fit_on, training_wordings
from radlet.evaluation.grounding import Gaze, Grounder, GroundingSettings, describe_grounding
from radlet.evaluation.headlines import headlines
from radlet.evaluation.lineage import UpstreamRun, describe, upstream_runs
from radlet.evaluation.looking import describe_looking
from radlet.evaluation.page import render_page
from radlet.evaluation.pictures import draw_rows
from radlet.evaluation.probes import Probes, ProbeSettings
from radlet.evaluation.readings import Readings, truth_observations
from radlet.evaluation.runner import Draft, draft_all
from radlet.evaluation.scorecard import ProbeResult, Scorecard
from radlet.evaluation.scorers.base import ScorerSettings
from radlet.evaluation.scorers.loading import Scorers, listing_digest, weights_lineage
from radlet.evaluation.scoring import (
    MODEL,
    Answers,
    diversity,
    observation_results,
    occurring_observations,
    score_answers,
)
from radlet.evaluation.subgroups import describe_subgroups, example_attributes
from radlet.evaluation.systems import Systems
from radlet.evaluation.tasks.base import Choose, Material, ReportWriter, Rows, Task
from radlet.evaluation.text_only import TextModelConfig, TextOnly
from radlet.inference.drafter import Drafter
from radlet.inference.text_writer import TextWriter
from radlet.metrics.resampling import Interval, PatientResampler
from radlet.retrieval.embedding import Embedder
from radlet.stages.announce import announce_finished, announce_start
from radlet.stages.executors import ExecutorSettings
from radlet.stages.executors.drafters import Spread, drafting

if TYPE_CHECKING:
    from rich.console import Console


class EvaluateConfig(StageConfig, ExecutorSettings):
    """Settings of the evaluate stage; the executor writes its drafts."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | set(ExecutorSettings.model_fields)

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


@dataclass(frozen=True)
class _Bench:
    """What is judged, and on what."""

    config: EvaluateConfig
    task: Task
    drafter: Drafter
    embedder: Embedder | None
    rows: Rows
    training: Sequence[Example]
    dev: Sequence[Example]
    progress: Progress
    spread: Spread

    @property
    def judged(self) -> Sequence[Example]:
        return self.rows.judged

    def writer(self) -> ReportWriter:
        return self.task.writer(self.drafter, self.config.choose)


def run(config: EvaluateConfig, console: "Console | None" = None) -> Path:
    """Judge the model and return the run directory."""
    run_ = open_run(config, "evaluate", config.inputs)
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "evaluate", run_.path)
    announce_start(progress.console, "evaluate", run_.path)
    with Scorers(config.weights_dir, config.scorers, progress) as scorers, drafting(config) as spread:
        if scorers.names:
            progress.console.print(f"  metrics that run a model: {', '.join(scorers.names)}", soft_wrap=True)
        bench = _set_up(config, progress, spread)
        answers = replace(_collect(run_, bench), readings=Readings(config.labeller, progress, scorers))
        card = _score(bench, answers, _look(run_, bench, answers))
    upstream, gazes = upstream_runs(run_.path), _ground(bench, answers)
    added = {
        "lineage": describe(upstream) | weights_lineage(scorers),
        "grounding": describe_grounding(gazes, answers.patients, config.num_resamples, config.seed, config.interval),
        "calibration": _calibrate(run_, bench, answers),
    }
    card = card.model_copy(update=added)
    card.save(run_.path / "scorecard.json")
    write_atomically(run_.path / "scorecard.html", _draw(bench, answers, card, upstream, gazes))
    for line in headlines(card):
        progress.console.print(f"  {line}")
    run_.finish()
    return run_.path


def _set_up(config: EvaluateConfig, progress: Progress, spread: Spread) -> _Bench:
    task: Task = TASKS[config.task]()
    drafter = spread(Drafter.load(config.checkpoint), config.checkpoint)
    embedder = Embedder.load(config.encoder) if config.encoder else None
    rows, training, dev = _rows(config, task, drafter, embedder)
    progress.console.print(f"  {len(rows.judged)} drafts of the {config.split} split by each system")
    for reason, count in rows.left_out.items():
        progress.console.print(f"  {count} examples left out: {reason}")
    if not training:
        progress.console.print("  no baseline that copies training reports: these examples have no train split")
    return _Bench(config, task, drafter, embedder, rows, training, dev, progress, spread)


def _rows(
    config: EvaluateConfig, task: Task, drafter: Drafter, embedder: Embedder | None
) -> tuple[Rows, list[Example], list[Example]]:
    """Return the rows that are judged, the training rows that baselines copy from, and those of the dev split."""
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
    written = [example for example in examples if example.split == config.split]
    studies = [example for example in written if select_films([example], films)]
    left_out = {f"no film of the kind '{films}'": len(written) - len(studies)} if len(studies) < len(written) else {}
    if config.max_studies is not None and len(studies) > config.max_studies:
        chosen = np.random.default_rng(config.seed).choice(len(studies), config.max_studies, replace=False)
        studies = [studies[i] for i in np.sort(chosen)]
    judged = select_films(studies, films)
    if not judged:
        raise DataError(
            f"The split '{config.split}' has no study with a text and a film of the kind '{films}'. "
            "Look into the build run's summary.json, or judge another split."
        )
    training, dev = (
        select_films([example for example in examples if example.split == split], films) for split in ("train", "dev")
    )
    check_films([*judged, *(training if embedder else ())])
    rows = task.rows(Material(judged, training, drafter.card.target_section, embedder, config.seed))
    return replace(rows, left_out=left_out | rows.left_out), training, dev


def _collect(run_: Run, bench: _Bench) -> Answers:
    """Collect the drafts of every system, going on where a killed evaluation stopped."""
    judged = bench.judged
    references = [bench.task.reference(example) for example in judged]
    (run_.path / "baselines").mkdir(exist_ok=True)
    drafts = {}
    for name, draft in _systems(bench).items():
        file = run_.path / ("predictions.jsonl" if name == MODEL else f"baselines/{name}.jsonl")
        drafts[name] = draft_all(file, judged, references, draft, bench.progress)
    truths = [example.truth for example in judged if example.truth is not None]
    patients = [example.patient_id for example in judged]
    return Answers(references, patients, drafts, truths if len(truths) == len(judged) else None)


def _systems(bench: _Bench) -> dict[str, Draft]:
    """Return the model and every baseline that can be made."""
    config, task, judged = bench.config, bench.task, bench.judged
    blind = None
    if config.no_image_checkpoint is not None:
        path = config.no_image_checkpoint
        blind = task.writer(bench.spread(Drafter.load(path), path), config.choose)
    systems = Systems(task, judged, bench.training, config.seed, config.batch_size)
    table = dict(systems.table(bench.writer(), blind, bench.embedder))
    if config.text_model is not None:
        asker = TextOnly(task, bench.training, config.text_model, config.seed)
        table["text_only"] = asker.draft(judged, TextWriter.load(config.text_model.path), config.batch_size)
    return table


def _look(run_: Run, bench: _Bench, answers: Answers) -> dict[str, ProbeResult]:
    """Draft again with what the model sees changed, going on where a killed evaluation stopped; judge the drafts."""
    config, model = bench.config, bench.writer()
    settings = ProbeSettings(config.max_probe_drafts, config.seed, bench.drafter.image_settings.size_px)
    probes = Probes(bench.task, bench.judged, answers.systems[MODEL], settings)
    (run_.path / "probes").mkdir(exist_ok=True)
    drafts = {}
    for name, (rows, references) in probes.asked.items():
        file = run_.path / "probes" / f"{name}.jsonl"
        drafts[name] = draft_all(file, rows, references, probes.draft(name, model, config.batch_size), bench.progress)
    return probes.results(drafts, config.num_resamples, config.interval)


def _score(bench: _Bench, answers: Answers, probes: Mapping[str, ProbeResult]) -> Scorecard:
    config, task, judged = bench.config, bench.task, bench.judged
    resampler = PatientResampler(answers.patients, config.num_resamples, config.seed, config.interval)
    chosen = task.measures(judged, answers)
    scores = score_answers(answers, resampler, chosen)
    reports = task.reads == "reports"
    encoder = EncoderScores()
    if bench.embedder and reports:
        encoder = score_encoder(judged, bench.embedder, resampler, config.seed)
    drafts = answers.systems[MODEL]
    support, truth_support = {}, {}
    if reports:
        expected = answers.readings.of(answers.references, "observations")
        support = observation_results(expected, drafts, resampler, readings=answers.readings)
    if reports and answers.truth is not None:
        present = [truth_observations(findings) for findings in answers.truth]
        occurring = occurring_observations(answers.truth)
        truth_support = observation_results(present, drafts, resampler, occurring, answers.readings)
    card = Scorecard(
        task=config.task,
        task_version=task.version,
        split=config.split,
        section=judged[0].target_section,
        trained_section=bench.drafter.card.target_section,
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
        rows_left_out=bench.rows.left_out,
        retrieval=encoder.beside,
        encoder_auroc=encoder.aurocs,
        support=support,
        labeller=config.labeller.kind,
        labeller_sha256=answers.readings.labeller_sha256,
        truth_support=truth_support,
        subgroups=describe_subgroups(
            example_attributes(judged, config.age_bands), answers, resampler, config.min_subgroup
        ),
        diversity=diversity(answers),
    )
    read_off = sorted((one for one in chosen if one.name in task.looking), key=lambda one: task.looking.index(one.name))
    looking = describe_looking(card, answers, resampler, probes, read_off).model_copy(update={"counted": task.reads})
    return card.model_copy(update={"looking": looking, **task.results(judged, answers, resampler)})


def _ground(bench: _Bench, answers: Answers) -> list[Gaze]:
    """Hold attention against the boxes of rightly drafted findings."""
    config = bench.config
    if bench.task.reads != "reports":
        return []
    settings = GroundingSettings(
        config.max_grounding_reports, config.max_deletion_reports, config.seed, config.batch_size
    )
    grounder = Grounder(bench.task, bench.judged, answers.systems[MODEL], bench.training, settings)
    return grounder.look(bench.drafter, bench.progress)


def _calibrate(run_: Run, bench: _Bench, answers: Answers) -> Calibration | None:
    """Judge probabilities of findings, and leave them in ``probabilities.jsonl``."""
    config, judged = bench.config, bench.judged
    if bench.task.reads != "reports" or not config.max_calibration_reports:
        return None
    wordings = training_wordings(bench.training, config.num_wordings)
    others: dict[Split, Sequence[Example]] = {"dev": bench.dev, "train": bench.training}
    split, fitted = rows_to_fit_on(others, config.split, config.max_calibration_reports, config.seed)
    if not (wordings and fitted):
        return None
    chosen = draw_rows(range(len(judged)), config.max_calibration_reports, config.seed)
    rows = JudgedRows([judged[row] for row in chosen], [answers.systems[MODEL][row] for row in chosen], fitted)
    probabilities = FindingProbabilities(bench.task, wordings, config.batch_size)
    evidence = probabilities.gather(bench.drafter, rows, bench.embedder, bench.progress)
    patients = [row.patient_id for row in rows.judged]
    calibrator = Calibrator(evidence, PatientResampler(patients, config.num_resamples, config.seed, config.interval))
    write_atomically(run_.path / "probabilities.jsonl", calibrator.lines(rows.judged))
    return calibrator.describe(split, config.num_wordings)


def _draw(
    bench: _Bench, answers: Answers, card: Scorecard, upstream: Sequence[UpstreamRun], gazes: Sequence[Gaze]
) -> str:
    """Return the page."""
    config, task, judged = bench.config, bench.task, bench.judged
    artist = Artist(task, bench.drafter, judged, answers)
    typical = [artist.picture(row, True) for row in task.typical(judged, answers, config.num_pictures, config.seed)]
    worst = [artist.picture(row, False) for row in task.worst(judged, answers, config.num_pictures)]
    grounded = [artist.grounded(gaze) for gaze in draw_rows(gazes, config.num_pictures, config.seed)]
    return render_page(card, config.name, upstream, typical, worst, grounded)


def _trained_films(drafter: Drafter) -> Films:
    trained = drafter.card.films
    if trained in get_args(Films):
        return cast("Films", trained)
    raise CheckpointError(
        f"The checkpoint was tuned with films = '{trained}', so there is nothing to show it. Give the model tuned with "
        "films as `checkpoint`, and this one as `no_image_checkpoint`."
    )
