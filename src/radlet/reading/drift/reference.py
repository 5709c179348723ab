"""Make the reference card of a model: measure films it was trained on, and drafts of films it was not."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.core.records import Example, View
from radlet.core.runs import run_digest
from radlet.data.images import read_film
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.manifests import read_examples
from radlet.inference.drafter import DraftRequest
from radlet.reading.drift.card import DriftCard, Observed, make_measures
from radlet.reading.drift.measuring import draft_values, film_values, person_values
from radlet.reading.gate import GateSettings, GateVerdict, judge_film
from radlet.reading.served_model import ServedModel


@dataclass(frozen=True)
class Sample:
    """How much of the examples is looked at.

    Attributes:
        films: At most so many studies of the train split.
        drafts: At most so many of the other splits, which are drafted.
        seed: Of the choice among more.
    """

    films: int = 2000
    drafts: int = 400
    seed: int = 0


def make_reference(
    model: ServedModel, examples: Path, gate: GateSettings, sample: Sample, progress: Progress
) -> DriftCard:
    """Return the card of a model.

    Inputs come from the train split: what the model has learnt from. Outputs are the model's own drafts of the other
    splits: reports that people wrote would show how the model differs from them, not how it changes; and of films it
    was trained on it may know the words.

    Args:
        model: As it is served.
        examples: Build run that it was trained on.
        gate: Of the reading room; a study's film is the first that passes.
        sample: How much is looked at.
        progress: Shows how far it is.

    Raises:
        DataError: The run is missing or not finished, another one made the model, or holds no film to be used.
    """
    digest = run_digest(examples)
    made_from = model.drafter.card.lineage.get("build")
    if made_from and made_from != digest:
        raise DataError(f"{examples}: the model was trained on another build run. Give that one as --examples.")
    trained, held_out = choose_studies(read_examples(examples), sample)
    inputs = [one for one, _ in _looked_at(trained, gate, progress, "films")]
    if not any("chest" in one.values for one in inputs):
        raise DataError(f"{examples}: no film of the train split can be read and passes the input gate.")
    outputs = list(_drafted(model, _looked_at(held_out, gate, Progress(quiet=True), "films"), progress))
    return DriftCard(
        model=model.identity.name,
        checkpoint_digest=model.identity.checkpoint_digest,
        examples_digest=digest,
        created_at=datetime.now(UTC),
        films=sum("chest" in one.values for one in inputs),
        reports=len(outputs),
        measures=make_measures([*inputs, *outputs]),
    )


def choose_studies(examples: Sequence[Example], sample: Sample) -> tuple[list[Example], list[Example]]:
    """Return the studies of the train split that are measured, and those of the others that are drafted."""
    studies = studies_of(examples)
    trained = [study for study in studies if study.split == "train"]
    held_out = [study for study in studies if study.split != "train"]
    return _some(trained, sample.films, sample.seed), _some(held_out, sample.drafts, sample.seed)


def studies_of(examples: Sequence[Example]) -> list[Example]:
    """Return one example of each study, with all films that any of its examples shows."""
    found: dict[str, Example] = {}
    for one in examples:
        first = found.setdefault(one.study_id, one)
        films = dict(zip(first.image_paths, first.views, strict=True))
        films |= dict(zip(one.image_paths, one.views, strict=True))
        update = {"image_paths": tuple(films), "views": tuple(films.values())}
        found[one.study_id] = first.model_copy(update=update)
    return list(found.values())


def _some(studies: list[Example], most: int, seed: int) -> list[Example]:
    if len(studies) <= most:
        return studies
    return random.Random(seed).sample(studies, most)


def _looked_at(
    studies: Sequence[Example], gate: GateSettings, progress: Progress, what: str
) -> Iterator[tuple[Observed, DraftRequest | None]]:
    """Yield what is measured of each study, and what it would be drafted from; studies without a film are left out."""
    for study in progress.track(studies, what, len(studies)):
        judged = [
            (path, view, verdict)
            for path, view in zip(study.image_paths, study.views, strict=True)
            if (verdict := _judge(Path(path), view, study.age_years, gate)) is not None
        ]
        if not judged:
            continue
        path, view, verdict = next((one for one in judged if one[2].passed), (None, None, None))
        values = film_values(verdict, view) | person_values(study.sex, study.age_years)
        request = DraftRequest((Path(path),), study.indication) if path else None
        yield Observed(scanner=study.scanner, values=values), request


def _judge(path: Path, view: View | None, age_years: float | None, gate: GateSettings) -> GateVerdict | None:
    try:
        film = read_film(path)
    except DataError:
        return None
    return judge_film(replace(film, view=film.view or view), age_years, gate)


def _drafted(
    model: ServedModel, looked_at: Iterator[tuple[Observed, DraftRequest | None]], progress: Progress
) -> Iterator[Observed]:
    asked = [(one.scanner, request) for one, request in looked_at if request]
    texts = model.drafter.draft([request for _, request in asked], progress=progress)
    for (scanner, _), text, states in zip(asked, texts, RuleLabeller().label(texts), strict=True):
        yield Observed(scanner=scanner, values=draft_values(text, {name: str(state) for name, state in states.items()}))
