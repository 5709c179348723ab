"""What every task promises, parametrised over the registry: a new one is tested unasked."""

import numpy as np
import pytest

from radlet.core.records import OBSERVATIONS, Example, Finding, State
from radlet.evaluation import TASKS
from radlet.evaluation.scorecard import Scorecard
from radlet.evaluation.scoring import MODEL, Answers
from radlet.evaluation.tasks import Material, Task
from radlet.metrics.resampling import PatientResampler

NAMES = ("Cardiomegaly", "Pleural Effusion", "Fracture")
TEXTS = ("The heart is enlarged.", "There is a left pleural effusion.", "There is a right rib fracture.")
ASKED = (("Is the heart enlarged?", "Yes", "closed"), ("Which lung?", "the left", "open"), ("What?", "a rib", "open"))


class Encoder:
    """All films look nearly alike."""

    def embed_images(self, paths):
        angles = np.array([int(path.stem) for path in paths], np.float32) / 100
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def make_example(number, section):
    question, answer, kind = ASKED[number % 3]
    asks = section == "answer"
    present = NAMES[: number % 2]
    return Example(
        example_id=f"e{number}",
        study_id=f"s{number}",
        patient_id=f"p{number}",
        split="train" if number < 9 else "test",
        image_paths=(f"/films/{number}.png",),
        views=("PA",),
        target=answer if asks else TEXTS[number % 3],
        target_section=section,
        question=question if asks else None,
        answer_kind=kind if asks else None,
        topic="PRES, POS" if asks else None,
        observations={name: State.POSITIVE if name in present else State.NEGATIVE for name in OBSERVATIONS},
        truth=tuple(Finding(kind="x", observation=name) for name in present),
    )


@pytest.fixture(params=list(TASKS))
def task(request):
    return TASKS[request.param]()


@pytest.fixture
def material(task):
    """Examples of the first section that the task accepts; the encoder is there for whoever needs it."""
    for section in ("findings", "impression", "answer"):
        examples = [make_example(number, section) for number in range(27)]
        accepted = [example for example in examples if task.accepts(example)]
        if accepted:
            training = [example for example in accepted if example.split == "train"]
            judged = [example for example in accepted if example.split == "test"]
            return Material(judged, training, section, Encoder(), 0)
    pytest.fail("the task accepts no example")
    return None


@pytest.fixture
def rows(task, material):
    return list(task.rows(material).judged)


def answers_of(task, rows, texts):
    return Answers([task.reference(row) for row in rows], [row.patient_id for row in rows], {MODEL: texts})


def test_it_says_what_it_is(task):
    assert isinstance(task, Task)
    assert task.version >= 1
    assert task.looking
    assert type(task).__doc__


def test_it_refuses_what_it_cannot_judge(task):
    for section in ("findings", "answer"):
        example = make_example(0, section)
        assert not task.accepts(example.model_copy(update={"image_paths": (), "views": ()}))
    lost = {"target": None, "truth": None, "observations": {}}
    assert not task.accepts(make_example(0, "findings").model_copy(update=lost))


def test_every_row_has_an_answer_an_id_of_its_own_and_films(task, rows):
    assert rows
    assert all(task.reference(row) for row in rows)
    assert len({row.example_id for row in rows}) == len(rows)
    assert all(row.image_paths for row in rows)


def test_rows_are_the_same_again(task, material, rows):
    assert list(task.rows(material).judged) == rows


def test_a_request_shows_the_films_it_is_given(task, rows):
    for row in rows[:3]:
        assert [str(path) for path in task.request(row, ("/films/x.png",)).image_paths] == ["/films/x.png"]
        assert task.request(row, ()).image_paths == ()


def test_right_answers_score_best_and_wrong_ones_less(task, rows):
    right = answers_of(task, rows, [task.reference(row) for row in rows])
    wrong = answers_of(task, rows, ["\N{EM DASH}"] * len(rows))
    names = []
    for measure in task.measures(rows, right):
        names.append(measure.name)
        scores = [
            measure.metric.score_judged(_statistics(measure, texts).sum(axis=0))
            for texts in (right.systems[MODEL], wrong.systems[MODEL])
        ]
        if measure.metric.direction == "higher" and not np.isnan(scores[0]):
            assert not scores[0] <= scores[1]  # nothing to judge is no score
    assert len(set(names)) == len(names)
    assert set(names) & set(task.looking)


def test_baselines_answer_every_row(task, material, rows):
    constants = task.constants(rows, material.training, 0)
    assert len(constants) == len(rows)
    assert all(constants)
    assert all(task.copied(row, material.training[0]) for row in rows)
    vectors = task.asked_vectors(rows)
    if vectors is not None:
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-6)


def test_results_are_fields_of_the_scorecard_and_rows_shown_exist(task, rows):
    answers = answers_of(task, rows, [task.reference(rows[0])] * len(rows))
    resampler = PatientResampler(answers.patients, 20)
    assert set(task.results(rows, answers, resampler)) <= set(Scorecard.model_fields)
    for shown in (task.typical(rows, answers, 4, 0), task.worst(rows, answers, 4)):
        assert len(shown) <= 4
        assert set(shown) <= set(range(len(rows)))


def _statistics(measure, texts):
    from radlet.evaluation.readings import read_reports

    return measure.metric.statistics(measure.expected, read_reports(texts, measure.metric.reads))
