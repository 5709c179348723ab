from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radlet.core.errors import DataError
from radlet.core.records import Example, Finding, State
from radlet.evaluation.pairs import alike_pairs
from radlet.evaluation.scoring import MODEL, Answers, score_answers
from radlet.evaluation.tasks import Material
from radlet.evaluation.tasks.confusing_pairs import ConfusingPairs
from radlet.metrics.resampling import PatientResampler

TASK = ConfusingPairs()


class Encoder:
    """Films are alike that have numbers alike."""

    def embed_images(self, paths):
        angles = np.array([int(path.stem) for path in paths], np.float32) / 50
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def study(number, *present, patient=None, **changes):
    return Example(
        example_id=f"e{number}",
        study_id=f"s{number}",
        patient_id=patient or f"p{number}",
        split="test",
        image_paths=(f"{number}.png",),
        views=("PA",),
        indication="Cough.",
        truth=tuple(Finding(kind="x", observation=name) for name in present),
        **changes,
    )


STUDIES = [
    study(0, "Cardiomegaly"),
    study(1),
    study(10, "Fracture", "Edema"),
    study(12, "Edema"),
    study(13, "Pneumothorax"),
]


def rows_of(judged, section="findings", encoder=None):
    return TASK.rows(Material(judged, [], section, encoder or Encoder(), 0))


def test_films_that_look_alike_and_differ_in_one_observation_are_asked_the_same():
    made = rows_of(STUDIES)
    assert [row.example_id for row in made.judged] == ["e0+e1.1", "e0+e1.2", "e10+e12.1", "e10+e12.2"]
    assert made.left_out == {"in no pair": 1}
    first, second = made.judged[:2]
    assert first.options == second.options == (first.target, second.target)
    assert first.target == "There is enlargement of the heart."
    assert second.target == "There is no enlargement of the heart."
    assert {first.patient_id, second.patient_id} == {"p0"}
    asked = [TASK.request(row, ()) for row in (first, second)]
    assert asked[0] == asked[1]  # nothing but the film tells them apart
    answering = rows_of(STUDIES, "answer").judged[0]
    assert (answering.question, answering.target) == ("Is there enlargement of the heart?", "yes")


def test_what_it_cannot_do_without():
    with pytest.raises(DataError, match="give the run directory of pretrain"):
        TASK.rows(Material(STUDIES, [], "findings", None, 0))
    with pytest.raises(DataError, match="no other: 1"):
        rows_of(STUDIES[:2])
    unknown = study(0).model_copy(update={"truth": None})
    assert not TASK.accepts(unknown)
    assert TASK.accepts(study(0))


def test_a_model_that_sees_no_difference_is_right_for_no_pair():
    judged = rows_of(STUDIES).judged
    systems = {MODEL: [row.options[1] for row in judged], "shuffled_image": [row.target for row in judged]}
    answers = Answers([row.target for row in judged], [row.patient_id for row in judged], systems)
    scores = score_answers(answers, PatientResampler(answers.patients, 20), TASK.measures(judged, answers))
    values = {name: estimate.value for name, estimate in scores.estimates[MODEL].items()}
    assert values == {"pairs_set_accuracy": 0, "pairs_individual_accuracy": 0.5, "pairs_confusion": 1}
    told = TASK.results(judged, answers, PatientResampler(answers.patients, 20))["choices"]
    assert told.places == {"2": {"yes": 0, "no": 1}}
    assert told.observations == {"Cardiomegaly": 1, "Fracture": 1}
    assert 0.99 < told.likeness < 1


def test_the_constant_is_what_most_training_films_show_and_the_neighbour_what_its_film_shows():
    judged = rows_of(STUDIES).judged
    training = [study(0, "Cardiomegaly"), study(1, "Cardiomegaly"), study(2)]
    assert TASK.constants(judged, training, 0) == [judged[0].options[0]] * 2 + [judged[2].options[1]] * 2
    assert TASK.copied(judged[0], training[0]) == judged[0].options[0]
    assert TASK.copied(judged[0], training[2]) == judged[0].options[1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 40)), max_size=14))
def test_a_pair_differs_in_one_observation_and_every_patient_is_in_one_at_most(films):
    known = np.array([[bool(states >> bit & 1) for bit in range(3)] for states, _, _ in films]).reshape(-1, 3)
    patients = [f"p{patient}" for _, patient, _ in films]
    paths = [str(Path(f"{angle}.png")) for _, _, angle in films]
    pairs = alike_pairs(Encoder(), paths, known, patients)
    used = [patients[row] for pair in pairs for row in (pair.present, pair.absent)]
    assert len(used) == len(set(used))
    for pair in pairs:
        assert (known[pair.present] != known[pair.absent]).sum() == 1
        assert known[pair.present, pair.difference]
    left = [row for row in range(len(films)) if patients[row] not in used]
    assert not any(
        patients[i] != patients[j] and (known[i] != known[j]).sum() == 1 for i in left for j in left
    )  # none was passed over
    assert [pair.likeness for pair in pairs] == sorted((pair.likeness for pair in pairs), reverse=True)


def test_a_film_whose_text_is_uncertain_is_in_no_pair():
    unsure = study(1, observations={"Pneumonia": State.UNCERTAIN, "Edema": State.POSITIVE})
    unsure = unsure.model_copy(update={"truth": None})
    assert not TASK.accepts(unsure)
    sure = unsure.model_copy(update={"observations": {"Pneumonia": State.NEGATIVE, "Edema": State.POSITIVE}})
    assert TASK.accepts(sure)
