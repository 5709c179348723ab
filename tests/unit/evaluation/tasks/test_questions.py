import pytest

from radlet.core.errors import DataError
from radlet.core.records import Example
from radlet.evaluation.scoring import MODEL, Answers, score_answers
from radlet.evaluation.tasks.questions import QuestionConstant, Questions
from radlet.metrics.resampling import PatientResampler


def ask(number, question, answer, kind="closed", topic=None):
    return Example(
        example_id=f"e{number}",
        study_id=f"s{number}",
        patient_id=f"p{number}",
        split="train",
        image_paths=(f"{number}.png",),
        views=("PA",),
        question=question,
        target=answer,
        target_section="answer",
        answer_kind=kind,
        topic=topic,
    )


def test_the_constant_tells_types_apart_where_that_helps():
    training = [ask(n, "Is it left?", "Yes") for n in range(4)] + [ask(n, "Which side?", "left.") for n in range(3)]
    constant = QuestionConstant(training)
    judged = [ask(9, "Is there more?", "?"), ask(9, "Which film?", "?"), ask(9, "Where?", "?")]
    assert constant.answers(judged) == ["yes", "left", "yes"]
    assert constant.answers([ask(9, "Which film?", "?", "open")]) == ["yes"]  # a kind that nobody was taught


def test_the_constant_is_no_finer_than_its_questions_carry():
    """Every opening occurs once: apart, none of them could be answered."""
    training = [ask(n, f"{word} it?", answer) for n, (word, answer) in enumerate(zip("bcdef", "xxxyy", strict=True))]
    assert QuestionConstant(training).answers([ask(9, "f it?", "?")]) == ["x"]


def test_a_train_split_without_questions_has_no_constant():
    with pytest.raises(DataError, match="No training example"):
        QuestionConstant([])


def test_closed_and_open_questions_are_judged_apart_and_by_topic():
    judged = [
        ask(0, "Is it big?", "Yes", topic="SIZE"),
        ask(1, "Is it small?", "no", topic="SIZE, PRES"),
        ask(2, "Left or right?", "Left", topic="POS"),
        ask(3, "Where?", "left lower lobe", "open", topic="POS"),
    ]
    answers = Answers(
        [row.target for row in judged],
        [row.patient_id for row in judged],
        {MODEL: ["yes", "yes", "right", "left lobe"]},
    )
    task, resampler = Questions(), PatientResampler(answers.patients, 50)
    scores = score_answers(answers, resampler, task.measures(judged, answers))
    values = {name: estimate.value for name, estimate in scores.estimates[MODEL].items()}
    assert values == pytest.approx(
        {
            "closed_accuracy": 1 / 3,
            "open_token_recall": 2 / 3,
            "closed_exact_match": 1 / 3,
            "open_exact_match": 0,
            "open_token_f1": 0.8,
            "closed_yes_share": 1,
        }
    )
    assert scores.judged["closed_yes_share"][MODEL] == 2
    told = task.results(judged, answers, resampler)["questions"]
    assert (told.num_yes_no, told.expected_yes_share) == (2, 0.5)
    assert {name: (topic.num_closed, topic.num_open) for name, topic in told.topics.items()} == {
        "POS": (1, 1),
        "SIZE": (2, 0),
        "PRES": (1, 0),
    }
    assert told.topics["SIZE"].closed_accuracy.value == 0.5
    assert told.topics["SIZE"].open_token_recall.value is None
    assert set(task.worst(judged, answers, 9)) == {1, 2, 3}
