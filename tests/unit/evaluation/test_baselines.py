import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sklearn.metrics import f1_score

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Example, Finding, State
from radlet.evaluation.baselines import constant_report, nearest_rows, other_patients

WORDS = "the heart is normal enlarged small left right effusion no . , lungs are clear the the"


def example(number, target, positive=()):
    return Example(
        example_id=str(number),
        study_id=str(number),
        patient_id=str(number),
        split="train",
        image_paths=(),
        views=(),
        target=target,
        observations=dict.fromkeys(positive, State.POSITIVE),
    )


def test_constant_equals_the_search_by_the_libraries():
    draws = np.random.default_rng(0)
    training = [
        example(
            i,
            " ".join(draws.choice(WORDS.split(), draws.integers(1, 14))),
            [name for name in OBSERVATIONS if draws.random() < 0.3],
        )
        for i in range(25)
    ]
    truth = np.array([[name in row.observations for name in OBSERVATIONS] for row in training])
    marks = []
    for candidate, positives in zip(training, truth, strict=True):
        bleu = BLEU().corpus_score([candidate.target] * 25, [[row.target for row in training]]).score / 100
        marks.append((f1_score(truth, np.tile(positives, (25, 1)), average="micro", zero_division=0) + bleu) / 2)
    assert constant_report(training) == training[int(np.argmax(marks))].target


def test_constant_is_the_common_answer():
    training = [example(i, "No acute cardiopulmonary disease is seen.", ["No Finding"]) for i in range(8)]
    training += [example(9, "Large left pleural effusion with atelectasis.", ["Pleural Effusion", "Atelectasis"])]
    assert constant_report(training) == "No acute cardiopulmonary disease is seen."


def test_constant_is_judged_by_the_truth_where_it_is_known():
    heart = (Finding(kind="x", observation="Cardiomegaly"),)
    normal = example(1, "The lungs are clear.", ["No Finding"]).model_copy(update={"truth": ()})
    training = [normal] * 4 + [
        example(2, "The heart is big.", ["Cardiomegaly"]).model_copy(update={"truth": heart})
    ] * 3
    assert constant_report(training) == "The heart is big."
    assert constant_report([row.model_copy(update={"truth": None}) for row in training]) == "The lungs are clear."


def test_constant_skips_rows_without_text_and_refuses_none():
    assert constant_report([example(1, None), example(2, "Clear.")]) == "Clear."
    with pytest.raises(DataError, match="No training example has a target"):
        constant_report([example(1, None), example(2, "")])


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), st.integers(0, 5))
def test_other_patients_is_a_derangement(patients, seed):
    assume(2 * max(patients.count(p) for p in patients) <= len(patients))
    partner = other_patients(patients, seed)
    assert sorted(partner) == list(range(len(patients)))
    assert all(patients[i] != patients[j] for i, j in enumerate(partner))


def test_other_patients_depends_on_the_seed_alone():
    patients = [str(i) for i in range(30)]
    assert other_patients(patients, 1).tolist() == other_patients(patients, 1).tolist()
    assert other_patients(patients, 1).tolist() != other_patients(patients, 2).tolist()


@pytest.mark.parametrize("patients", [["a"], ["a", "a", "b"]])
def test_other_patients_refuses_when_there_is_none(patients):
    with pytest.raises(DataError, match="another patient's film"):
        other_patients(patients)


def test_nearest_rows():
    training = np.eye(3)
    assert nearest_rows(training, np.array([[0.1, 0.9, 0.0], [0.5, 0.1, 0.6]])).tolist() == [1, 2]
    many = np.random.default_rng(0).normal(size=(600, 3))
    assert nearest_rows(training, many).tolist() == many.argmax(axis=1).tolist()
    with pytest.raises(DataError, match="no training film"):
        nearest_rows(np.empty((0, 3)), training)
