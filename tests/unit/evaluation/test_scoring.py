import pytest

from radlet.core.errors import UnknownNameError
from radlet.core.records import State
from radlet.evaluation.film_retrieval import score_retrieval
from radlet.evaluation.readings import read_reports, text_sides, truth_observations, truth_sides
from radlet.evaluation.scoring import (
    Answers,
    diversity,
    measures,
    observation_results,
    occurring_observations,
    score_answers,
)
from radlet.metrics.resampling import PatientResampler

LEFT, RIGHT, HEART = (
    "There is a left pleural effusion.",
    "There is a right pleural effusion.",
    "The heart is enlarged.",
)
NONE = "No pleural effusion."


@pytest.fixture
def answers(finding):
    effusion = finding("Pleural Effusion", "left")
    return Answers(
        references=[LEFT, LEFT, HEART, NONE] * 5,
        patients=[f"p{i // 2}" for i in range(20)],
        systems={
            "model": [LEFT, LEFT, HEART, NONE] * 5,
            "constant": [LEFT] * 20,
            "shuffled_image": [RIGHT, RIGHT, NONE, HEART] * 5,
        },
        truth=[[effusion], [effusion], [finding("Cardiomegaly")], []] * 5,
    )


@pytest.fixture
def scores(answers):
    return score_answers(answers, PatientResampler(answers.patients, 200), measures(answers))


def test_readings_of_text():
    assert read_reports([LEFT, NONE], "observations")[0]["Pleural Effusion"] is State.POSITIVE
    assert read_reports([LEFT, NONE], "observations")[1]["Pleural Effusion"] is State.NEGATIVE
    assert text_sides(LEFT) == {"Pleural Effusion": ["left"]}
    assert text_sides("No left pleural effusion.") == {}


def test_an_empty_draft_earns_nothing_even_where_nothing_is_wrong():
    normal = read_reports(["The lungs are clear."], "observations")[0]
    assert normal["No Finding"] is State.POSITIVE
    assert read_reports(["", " \n"], "observations") == [{}, {}]


def test_readings_of_truth(finding):
    truth = [finding("Fracture", "left"), finding("Fracture", "right"), finding("Support Devices")]
    assert truth_observations(truth) == {"Fracture": State.POSITIVE, "Support Devices": State.POSITIVE}
    assert truth_sides(truth) == {"Fracture": ["left", "right"], "Support Devices": ["bilateral"]}
    assert occurring_observations([truth, []]) == ("Fracture", "Support Devices")


def test_every_system_is_scored_by_every_measure(scores, answers):
    assert set(scores.estimates) == {"model", "constant", "shuffled_image"}
    for estimates in scores.estimates.values():
        assert list(estimates) == [measure.name for measure in measures(answers)]
    assert scores.estimates["model"]["bleu_4"].value == pytest.approx(1.0)


def test_scores_against_the_truth_by_hand(scores):
    # constant: effusion in 20 drafts, present in 10; cardiomegaly present in 5, never drafted.
    constant = scores.estimates["constant"]
    assert constant["truth_f1_micro"].value == pytest.approx(2 * 10 / (2 * 10 + 10 + 5))
    assert constant["truth_precision_micro"].value == pytest.approx(0.5)
    assert constant["truth_recall_micro"].value == pytest.approx(10 / 15)
    assert constant["truth_laterality"].value == 1.0
    assert scores.estimates["shuffled_image"]["truth_laterality"].value == 0.0
    assert scores.estimates["model"]["truth_f1_micro"].value == 1.0


def test_paired_names_the_best_baseline(scores):
    # constant reaches 20 / 35; shuffled_image has 10 right, 5 false and 5 missed, and is nearer.
    assert scores.paired["truth_f1_micro"].baseline == "shuffled_image"
    assert scores.paired["truth_f1_micro"].difference == pytest.approx(1 - 20 / 30)
    assert scores.paired["truth_f1_micro"].low > 0
    assert set(scores.paired_all["bleu_1"]) == {"constant", "shuffled_image"}
    assert "length_words" not in scores.paired  # a description has no better or worse


def test_without_truth_or_baselines(answers):
    alone = Answers(answers.references, answers.patients, {"model": answers.systems["model"]})
    chosen = measures(alone, ["bleu_1"])
    assert [measure.name for measure in chosen] == ["bleu_1"]
    assert score_answers(alone, PatientResampler(alone.patients, 10), chosen).paired == {}
    with pytest.raises(UnknownNameError, match="bleu_1"):
        measures(alone, ["bleu_11"])


def test_observation_results(answers):
    resampler = PatientResampler(answers.patients, 50)
    expected = read_reports(answers.references, "observations")
    results = observation_results(expected, answers.systems["constant"], resampler)
    effusion = results["Pleural Effusion"]
    assert (effusion.support, effusion.drafted, effusion.precision, effusion.recall) == (10, 20, 0.5, 1.0)
    assert effusion.f1.value == pytest.approx(2 / 3)
    assert (results["Cardiomegaly"].support, results["Cardiomegaly"].drafted) == (5, 0)
    assert len(results) == 14


def test_diversity(answers):
    values = diversity(answers)
    assert values["constant"]["unique_share"] == pytest.approx(1 / 20)
    assert values["reference"]["unique_share"] == pytest.approx(3 / 20)


def test_retrieval_scores_with_chance_beside():
    import numpy as np

    rows = np.eye(8)
    estimates, beside = score_retrieval(rows, rows, list("aabcdefg"), PatientResampler(list("abcdefgh"), 50))
    assert estimates["image_to_text_recall_at_1"].value == 7 / 8  # the second "a" is embedded unlike the first
    assert estimates["text_to_image_recall_at_10"].value == 1.0
    assert (beside["num_images"], beside["num_texts"]) == (8, 7)
    assert beside["chance_image_to_text_recall_at_1"] == pytest.approx(1 / 7)
    assert beside["times_chance_image_to_text_recall_at_1"] == pytest.approx(7 / 8 * 7)


def test_a_system_that_names_no_side_has_no_score_for_sides(answers):
    systems = dict(answers.systems) | {"constant": [HEART] * 20}
    silent = Answers(answers.references, answers.patients, systems, answers.truth)
    scores = score_answers(silent, PatientResampler(silent.patients, 100), measures(silent))
    assert scores.estimates["constant"]["truth_laterality"].value is None
    assert scores.judged["truth_laterality"] == {"model": 10, "constant": 0, "shuffled_image": 10}
    assert set(scores.paired_all["truth_laterality"]) == {"shuffled_image"}
    assert scores.paired["truth_laterality"].baseline == "shuffled_image"
    assert "bleu_4" not in scores.judged


def test_a_model_that_names_no_side_is_compared_with_nobody(answers):
    systems = dict(answers.systems) | {"model": [HEART] * 20}
    silent = Answers(answers.references, answers.patients, systems, answers.truth)
    scores = score_answers(silent, PatientResampler(silent.patients, 100), measures(silent))
    assert "truth_laterality" not in scores.paired
    assert "truth_laterality" not in scores.paired_all
    assert scores.paired["truth_f1_micro"].low is not None


def test_where_less_is_better_the_best_baseline_makes_the_fewest_errors(scores):
    # Each way round a side is one error; a finding that is not there, or is missed, is one too.
    errors = {system: estimates["rule_judge_errors"].value for system, estimates in scores.estimates.items()}
    assert errors["model"] == 0
    best = min(("constant", "shuffled_image"), key=lambda system: errors[system])
    assert errors["constant"] != errors["shuffled_image"]
    assert scores.paired["rule_judge_errors"].baseline == best
    assert scores.paired["rule_judge_errors"].difference == pytest.approx(-errors[best])
    assert "length_words" not in scores.paired
