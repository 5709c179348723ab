from pathlib import Path

import pytest
from tests.fixtures.reading_room import OPEN_GATE, make_served
from tests.fixtures.tiny import REPORTS

from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError
from radlet.core.records import OBSERVATIONS, Example
from radlet.core.runs import open_run, run_digest
from radlet.data.film_numbers import FILM_NUMBERS
from radlet.data.manifests import EXAMPLES, write_records
from radlet.inference.drafter import Drafter
from radlet.models.report_model import ReportModel
from radlet.reading.drift.reference import Sample, choose_studies, make_reference
from radlet.reading.gate import GateSettings
from radlet.reading.served_model import ServedModel
from radlet.stages.served import examples_of

QUIET = Progress(quiet=True)


def examples(films: list[Path], count: int = 60) -> list[Example]:
    """Studies with a lateral and a frontal film, two examples each; every second is held out."""
    return [
        Example(
            example_id=f"{study}-{part}",
            study_id=str(study),
            patient_id=str(study),
            split="dev" if study % 2 == 0 else "train",
            image_paths=(str(films[0]), str(films[1 + study % 7])),
            views=("LATERAL", "PA"),
            target=REPORTS[0],
            age_years=40 + study % 9,
        )
        for study in range(count)
        for part in range(2)
    ]


def build_run(folder: Path, rows: list[Example]) -> Path:
    run = open_run(StageConfig(runs_dir=folder), "build")
    write_records(run.path / EXAMPLES, rows)
    run.finish()
    return run.path


def trained_on(digest: str) -> ServedModel:
    made = make_served()
    model = made.drafter.report_model
    card = model.card.model_copy(update={"lineage": {"build": digest}, "max_new_tokens": 4})
    return ServedModel(Drafter(ReportModel(model.model, model.tokenizer, card)), made.identity)


def test_films_come_from_the_train_split_and_drafts_from_the_others(tmp_path: Path, tiny_films: list[Path]) -> None:
    run = build_run(tmp_path, examples(tiny_films, 104))
    gate = OPEN_GATE.model_copy(update={"lateral": "refuse", "least_lateral": 1.0})
    card = make_reference(trained_on(run_digest(run)), run, gate, Sample(drafts=50), QUIET)
    assert (card.films, card.reports, card.model) == (52, 50, "tiny")
    assert card.examples_digest == run_digest(run)
    measures = {measure.name: measure for measure in card.measures}
    assert set(measures) == {*FILM_NUMBERS, "age_years", "view", "gate", "words", *OBSERVATIONS}
    assert measures["view"].counts == (52, 0, 0)  # the lateral that stands first was passed over
    assert measures["gate"].counts == (52, 0, 0)
    assert sum(measures["words"].counts) == 50
    text = card.model_dump_json()
    assert not any(str(film) in text for film in tiny_films)


def test_a_model_is_measured_on_the_run_that_it_was_trained_on(tmp_path: Path, tiny_films: list[Path]) -> None:
    run = build_run(tmp_path, examples(tiny_films, 3))
    with pytest.raises(DataError, match="another build run"):
        make_reference(trained_on("0" * 64), run, OPEN_GATE, Sample(), QUIET)


def test_films_that_all_fail_the_gate_make_no_card(tmp_path: Path, tiny_films: list[Path]) -> None:
    run = build_run(tmp_path, examples(tiny_films, 3))
    with pytest.raises(DataError, match="passes the input gate"):
        make_reference(
            trained_on(run_digest(run)), run, GateSettings(least_frontal=1, doubtful_frontal=1), Sample(), QUIET
        )


def test_the_choice_hangs_on_the_seed_alone(tiny_films: list[Path]) -> None:
    rows = examples(tiny_films)
    first, again, other = (choose_studies(rows, Sample(5, 4, seed)) for seed in (1, 1, 2))
    assert [len(part) for part in first] == [5, 4]
    assert first == again != other
    assert {study.split for study in first[0]} == {"train"}


def test_the_build_run_is_the_one_that_the_checkpoints_run_names(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    with pytest.raises(ConfigError, match="--examples"):
        examples_of(tmp_path / "run")
    (tmp_path / "run" / "inputs.json").write_text('{"examples": {"path": "/x/build", "digest": "d"}}')
    assert examples_of(tmp_path / "run") == examples_of(tmp_path / "run" / "checkpoint") == Path("/x/build")
