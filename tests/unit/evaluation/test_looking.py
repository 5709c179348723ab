import pytest

from radlet.evaluation.looking import describe_looking, verdict
from radlet.evaluation.scorecard import PairedResult, Scorecard
from radlet.evaluation.scoring import Answers, diversity, measures, score_answers
from radlet.metrics.resampling import PatientResampler

LEFT, HEART = "There is a left pleural effusion.", "The heart is enlarged."
TRUTH, REPORTS = "truth_f1_micro", "observation_f1_micro_13"


def margin(low, high, p_value=0.01):
    return PairedResult(baseline="shuffled_image", difference=(low + high) / 2, low=low, high=high, p_value=p_value)


def test_the_verdict_follows_the_stated_rule():
    scores = {TRUTH: 0.5, REPORTS: 0.5}
    assert verdict({TRUTH: margin(0.01, 0.2), REPORTS: margin(-0.1, 0.2)}, scores, 20) is True
    assert verdict({TRUTH: margin(-0.05, 0.1), REPORTS: margin(-0.1, 0.02)}, scores, 20) is False
    assert verdict({TRUTH: margin(-0.05, 0.11), REPORTS: margin(-0.1, 0.02)}, scores, 20) is None
    assert verdict({TRUTH: margin(0.0, 0.0)}, {TRUTH: 0.0}, 20) is False
    assert verdict({TRUTH: margin(-0.05, 0.05)}, {TRUTH: 0.02}, 20) is False
    assert verdict({TRUTH: margin(-0.05, 0.06)}, {TRUTH: 0.02}, 20) is None
    assert verdict({TRUTH: margin(-0.2, -0.1)}, scores, 20) is False
    assert verdict({}, scores, 20) is None


def test_a_handful_of_patients_gives_no_verdict():
    same = {TRUTH: margin(0.0, 0.0, 1.0)}
    assert verdict(same, {TRUTH: 0.5}, 19) is None
    assert verdict(same, {TRUTH: 0.5}, 20) is False
    better = {TRUTH: margin(0.2, 0.4, 0.25)}  # of three patients, no swap test can say more
    assert verdict(better, {TRUTH: 0.5}, 3) is None
    assert verdict({TRUTH: margin(0.2, 0.4)}, {TRUTH: 0.5}, 12) is True


@pytest.fixture
def looking_of():
    def look(**systems):
        answers = Answers([LEFT, HEART] * 10, [f"p{i}" for i in range(20)], systems)
        resampler = PatientResampler(answers.patients, 100)
        scores = score_answers(answers, resampler, measures(answers))
        card = Scorecard(
            task="findings",
            split="test",
            num_studies=20,
            num_reports=20,
            num_patients=20,
            num_resamples=100,
            metrics=scores.estimates.pop("model"),
            paired_all=scores.paired_all,
            diversity=diversity(answers),
        )
        read_off = [measure for measure in measures(answers) if measure.name == REPORTS]
        return describe_looking(card, answers, resampler, {}, read_off)

    return look


def test_a_model_that_answers_by_the_film_looks(looking_of):
    looking = looking_of(model=[LEFT, HEART] * 10, shuffled_image=[HEART, LEFT] * 10)
    assert looking.looks is True
    assert list(looking.share_explained) == [REPORTS]
    share = looking.share_explained[REPORTS]
    assert (share.value, share.low, share.high) == (1, 1, 1)


def test_the_share_is_counted_against_the_better_of_those_that_do_not_see(looking_of):
    seeing, half = [LEFT, HEART] * 10, [LEFT] * 20
    looking = looking_of(model=seeing, shuffled_image=[HEART, LEFT] * 10, no_image=half)
    assert looking.share_explained[REPORTS].value == pytest.approx(0.5)
    other = looking_of(model=seeing, shuffled_image=half, no_image=[HEART, LEFT] * 10)
    assert other.share_explained[REPORTS].value == pytest.approx(0.5)


def test_a_model_that_says_the_same_for_every_film_does_not_look(looking_of):
    looking = looking_of(model=[LEFT] * 20, shuffled_image=[LEFT] * 20)
    assert looking.looks is False
    assert looking.share_explained[REPORTS].value == 0


def test_a_model_without_any_finding_has_no_score_to_explain(looking_of):
    looking = looking_of(model=["The lungs are clear."] * 20, shuffled_image=["The lungs are clear."] * 20)
    assert looking.looks is False
    assert looking.share_explained[REPORTS].value is None
