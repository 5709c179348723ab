"""Stage `evaluate`: a tuned model in; a scorecard with intervals and baselines, and a page to show it, out.

Leaves ``scorecard.json``, ``scorecard.html``, ``predictions.jsonl`` and the baselines' drafts in ``baselines/``, each
in the form that `radlet score` reads. Drafts are written as they come, so that a killed evaluation goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import numpy as np
from pydantic import Field

from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, DataError
from radlet.core.records import Example, Split
from radlet.core.runs import Run, open_run
from radlet.data.examples import Films, select_films
from radlet.data.images import ImageSettings, read_film, resize_film
from radlet.data.manifests import read_examples
from radlet.evaluation import TASKS
from radlet.evaluation.baselines import constant_report, nearest_rows, other_patients
from radlet.evaluation.film_retrieval import score_retrieval
from radlet.evaluation.lineage import UpstreamRun, describe, upstream_runs
from radlet.evaluation.marks import mark_draft, marked_phrases
from radlet.evaluation.page import render_page
from radlet.evaluation.pictures import Overlay, Picture, film_uri, overlay_uri, typical_rows, worst_rows
from radlet.evaluation.readings import read_reports, truth_observations
from radlet.evaluation.runner import Draft, draft_all
from radlet.evaluation.scorecard import Scorecard
from radlet.evaluation.scoring import (
    MODEL,
    Answers,
    diversity,
    measures,
    observation_results,
    occurring_observations,
    score_answers,
)
from radlet.evaluation.tasks import Task
from radlet.inference.drafter import Drafter
from radlet.metrics.resampling import Estimate, PatientResampler
from radlet.retrieval.embedding import Embedder
from radlet.stages.announce import announce_finished, announce_start

if TYPE_CHECKING:
    from rich.console import Console

_PICTURE_PX = 336
_MAX_OVERLAYS = 2


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
    task: str = "findings"
    """What is asked of the model; a name from the registry of tasks."""
    split: Split = "test"
    """Which patients are judged."""
    films: Films | None = None
    """Which films of a study the model is shown; by default those it was trained on."""
    max_studies: int | None = Field(default=None, ge=1)
    """Judge so many studies only, drawn by the seed."""
    num_resamples: int = Field(default=1000, ge=1)
    """Bootstrap resamples of the patients, and swaps of the paired test."""
    batch_size: int = Field(default=16, ge=1)
    """Drafts written at once."""
    num_pictures: int = Field(default=6, ge=0)
    """Films on the page, drawn at random; as many again show the worst drafts."""


def run(config: EvaluateConfig, console: "Console | None" = None) -> Path:
    """Judge the model and return the run directory."""
    inputs = {"examples": config.examples, "checkpoint": config.checkpoint}
    for name in ("no_image_checkpoint", "encoder"):
        if path := getattr(config, name):
            inputs[name] = path
    run_ = open_run(config, "evaluate", inputs)
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "evaluate", run_.path)
    announce_start(progress.console, "evaluate", run_.path)
    evaluation = _Evaluation.open(config, run_, progress)
    answers = evaluation.answers()
    card = evaluation.score(answers)
    card.save(run_.path / "scorecard.json")
    page = render_page(card, config.name, evaluation.upstream, *evaluation.pictures(answers))
    (run_.path / "scorecard.html").write_text(page, encoding="utf-8")
    run_.finish()
    return run_.path


@dataclass(frozen=True)
class _Evaluation:
    """What the steps of one evaluation share."""

    config: EvaluateConfig
    run: Run
    progress: Progress
    task: Task
    drafter: Drafter
    embedder: Embedder | None
    judged: list[Example]
    training: list[Example]
    upstream: list[UpstreamRun]

    @classmethod
    def open(cls, config: EvaluateConfig, run_: Run, progress: Progress) -> "_Evaluation":
        """Load what is judged and what it is judged on."""
        task = TASKS[config.task]()
        drafter = Drafter.load(config.checkpoint)
        films = config.films or _trained_films(drafter)
        examples = [example for example in read_examples(config.examples) if task.accepts(example)]
        judged = _draw([e for e in examples if e.split == config.split], config)
        rows = select_films(judged, films)
        if not rows:
            raise DataError(
                f"The split '{config.split}' has no study with a text and a film of the kind '{films}'. "
                "Look into the build run's summary.json, or judge another split."
            )
        return cls(
            config=config,
            run=run_,
            progress=progress,
            task=task,
            drafter=drafter,
            embedder=Embedder.load(config.encoder) if config.encoder else None,
            judged=rows,
            training=select_films([e for e in examples if e.split == "train"], films),
            upstream=upstream_runs(run_.path),
        )

    def answers(self) -> Answers:
        """Collect the drafts of the model and of every baseline that can be made."""
        references = [self.task.reference(example) for example in self.judged]
        (self.run.path / "baselines").mkdir(exist_ok=True)
        systems = {}
        for name, draft in self._systems().items():
            file = self.run.path / ("predictions.jsonl" if name == MODEL else f"baselines/{name}.jsonl")
            systems[name] = draft_all(file, self.judged, references, draft, self.progress)
        truths = [example.truth for example in self.judged if example.truth is not None]
        return Answers(
            references,
            [example.patient_id for example in self.judged],
            systems,
            truths if len(truths) == len(self.judged) else None,
        )

    def score(self, answers: Answers) -> Scorecard:
        """Compute every number."""
        resampler = PatientResampler(answers.patients, self.config.num_resamples, self.config.seed)
        scores = score_answers(answers, resampler, measures(answers, self.task.metrics))
        drafts = answers.systems[MODEL]
        recalls, beside = self._retrieval(resampler)
        truth_support = {}
        if answers.truth is not None:
            present = [truth_observations(findings) for findings in answers.truth]
            names = occurring_observations(answers.truth)
            truth_support = observation_results(present, drafts, resampler, names)
        return Scorecard(
            task=self.config.task,
            task_version=self.task.version,
            split=self.config.split,
            num_studies=len({example.study_id for example in self.judged}),
            num_reports=len(self.judged),
            num_patients=resampler.num_patients,
            num_resamples=self.config.num_resamples,
            metrics=scores.estimates.pop(MODEL) | recalls,
            baselines=scores.estimates,
            paired=scores.paired,
            paired_all=scores.paired_all,
            retrieval=beside,
            support=observation_results(read_reports(answers.references, "observations"), drafts, resampler),
            truth_support=truth_support,
            diversity=diversity(answers),
            lineage=describe(self.upstream),
        )

    def pictures(self, answers: Answers) -> tuple[list[Picture], list[Picture]]:
        """Return films drawn at random, with attention, and the films of the worst drafts."""
        count, drafts = self.config.num_pictures, answers.systems[MODEL]
        typical = typical_rows(answers.references, count, self.config.seed)
        worst = worst_rows(answers.references, drafts, count)
        return (
            [self._picture(row, answers, with_attention=True) for row in typical],
            [self._picture(row, answers, with_attention=False) for row in worst],
        )

    def _systems(self) -> dict[str, Draft]:
        """Return the model and the baselines, cheapest to lose first."""
        config, judged = self.config, self.judged
        partner = other_patients([example.patient_id for example in judged], config.seed)
        constant = constant_report(self.training, config.seed)
        systems: dict[str, Draft] = {
            MODEL: lambda rows: self._draft(self.drafter, rows, [judged[r].image_paths for r in rows]),
            "constant": lambda rows: [constant] * len(rows),
        }
        if config.no_image_checkpoint:
            blind = Drafter.load(config.no_image_checkpoint)
            systems["no_image"] = lambda rows: self._draft(blind, rows, [()] * len(rows))
        systems["shuffled_image"] = lambda rows: self._draft(
            self.drafter, rows, [judged[partner[r]].image_paths for r in rows]
        )
        if self.embedder:
            systems["nearest_neighbour"] = self._nearest_neighbour(self.embedder)
        return systems

    def _draft(self, drafter: Drafter, rows: Sequence[int], films: Sequence[Sequence[str]]) -> list[str]:
        requests = [self.task.request(self.judged[row], paths) for row, paths in zip(rows, films, strict=True)]
        return drafter.draft(requests, batch_size=self.config.batch_size)

    def _nearest_neighbour(self, embedder: Embedder) -> Draft:
        known: list[np.ndarray] = []

        def draft(rows: Sequence[int]) -> list[str]:
            if not known:  # embedded only when a draft is still missing
                known.append(embedder.embed_images(_first_films(self.training), progress=self.progress))
            queries = embedder.embed_images(_first_films([self.judged[row] for row in rows]))
            return [self.task.reference(self.training[row]) for row in nearest_rows(known[0], queries)]

        return draft

    def _retrieval(self, resampler: PatientResampler) -> tuple[dict[str, Estimate], dict[str, float]]:
        if self.embedder is None:
            return {}, {}
        reports = [example.report or example.target or "" for example in self.judged]
        images = self.embedder.embed_images(_first_films(self.judged), progress=self.progress)
        return score_retrieval(images, self.embedder.embed_texts(reports), reports, resampler)

    def _picture(self, row: int, answers: Answers, with_attention: bool) -> Picture:
        example, draft, reference = self.judged[row], answers.systems[MODEL][row], answers.references[row]
        settings: ImageSettings = self.drafter.image_settings.model_copy(update={"size_px": _PICTURE_PX})
        pixels = resize_film(read_film(Path(example.image_paths[0])).pixels, settings)
        overlays: list[Overlay] = []
        phrases = marked_phrases(mark_draft(draft, reference))[:_MAX_OVERLAYS] if with_attention else []
        if phrases:
            attention = self.drafter.attention(self.task.request(example, example.image_paths), draft)
            overlays = [Overlay(phrase, overlay_uri(pixels, attention.for_text(phrase))) for phrase in phrases]
        return Picture(row + 1, film_uri(pixels), reference, draft, tuple(overlays))


def _draw(studies: list[Example], config: EvaluateConfig) -> list[Example]:
    if config.max_studies is None or len(studies) <= config.max_studies:
        return studies
    chosen = np.random.default_rng(config.seed).choice(len(studies), config.max_studies, replace=False)
    return [studies[i] for i in np.sort(chosen)]


def _trained_films(drafter: Drafter) -> Films:
    trained = drafter.card.films
    for films in get_args(Films):
        if films == trained:
            return cast("Films", films)
    raise CheckpointError(
        f"The checkpoint was tuned with films = '{trained}', so there is nothing to show it. Give the model tuned with "
        "films as `checkpoint`, and this one as `no_image_checkpoint`."
    )


def _first_films(examples: Sequence[Example]) -> list[Path]:
    return [Path(example.image_paths[0]) for example in examples]
