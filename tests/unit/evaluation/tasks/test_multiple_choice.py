import pytest
from tests.unit.evaluation.tasks.test_questions import ask

from radlet.core.errors import DataError
from radlet.evaluation.scoring import MODEL, Answers, score_answers
from radlet.evaluation.tasks import Material
from radlet.evaluation.tasks.multiple_choice import MultipleChoice
from radlet.metrics.resampling import PatientResampler

TASK = MultipleChoice()
TRAINING = [
    ask(n, "Where?", answer, "open", topic)
    for n, (answer, topic) in enumerate(
        [("the left lung", "POS"), ("right lung", "POS"), ("heart", "POS"), ("rib", "POS"), ("CT", "MODALITY")]
    )
]


def rows_of(*judged, training=TRAINING, seed=0):
    return TASK.rows(Material(judged, training, "answer", None, seed))


def test_every_rotation_is_asked_with_the_answers_of_the_topic():
    rows = rows_of(ask(9, "Where?", "Left lung", "open", "POS")).judged
    assert len(rows) == 4
    options = rows[0].options
    assert set(options) == {"Left lung", "right lung", "heart", "rib"} | ({"the left lung"} & set(options))
    assert [row.options for row in rows] == [(*options[n:], *options[:n]) for n in range(4)]
    assert {row.target for row in rows} == {"Left lung"}
    asked = TASK.request(rows[1], ("f.png",))
    listed = " ".join(f"{letter}. {option}" for letter, option in zip("ABCD", rows[1].options, strict=True))
    assert asked.question == f"Where? Options: {listed}"


def test_options_come_from_the_question_from_yes_and_no_or_from_the_kind():
    own = ask(9, "Which?", "b").model_copy(update={"options": ("a", "b", "c")})
    assert {len(rows_of(own).judged), len(rows_of(ask(9, "Is it?", "Yes")).judged)} == {3, 2}
    assert set(rows_of(ask(9, "Is it?", "Yes")).judged[0].options) == {"yes", "no"}
    assert not TASK.accepts(own.model_copy(update={"target": "d"}))
    few = rows_of(ask(9, "What?", "MRI", "open", "MODALITY")).judged
    assert len(few) == 4  # one answer of the topic is too few, so those of the kind


def test_a_question_without_another_answer_is_left_out_and_counted():
    rows = rows_of(ask(9, "Is it?", "yes"), ask(10, "Left or right?", "left", "closed", "POS"))
    assert len(rows.judged) == 2
    assert list(rows.left_out.values()) == [1]
    with pytest.raises(DataError, match="second answer"):
        rows_of(ask(10, "Left or right?", "left"), training=[])


def test_a_model_that_goes_by_place_is_found_out():
    judged = rows_of(ask(9, "Where?", "heart", "open", "POS"), ask(10, "Is it?", "no")).judged
    answers = Answers(
        [row.target for row in judged], [row.patient_id for row in judged], {MODEL: [row.options[0] for row in judged]}
    )
    resampler = PatientResampler(answers.patients, 20)
    scores = score_answers(answers, resampler, TASK.measures(judged, answers)).estimates[MODEL]
    assert scores["multiple_choice_accuracy"].value == pytest.approx(2 / 6)
    assert scores["multiple_choice_circular_accuracy"].value == 0
    assert scores["multiple_choice_consistency"].value == 0
    told = TASK.results(judged, answers, resampler)["choices"]
    assert told.places == {"2": {"A": 1, "B": 0}, "4": {"A": 1, "B": 0, "C": 0, "D": 0}}
    assert told.chance["multiple_choice_accuracy"] == pytest.approx(2 / 6)
    assert told.chance["multiple_choice_circular_accuracy"] == pytest.approx((4**-4 + 2**-2) / 2)


def test_the_neighbour_gives_the_option_that_is_nearest_to_its_answer():
    row = rows_of(ask(9, "Where?", "heart", "open", "POS")).judged[0]
    assert TASK.copied(row, ask(0, "Where?", "an enlarged heart", "open")) == "heart"
