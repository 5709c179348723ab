import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radlet.core.errors import ConfigError, UnknownNameError
from radlet.evaluation.readings import Readings
from radlet.evaluation.rewards import NEUTRAL, Reward
from radlet.evaluation.scorers.loading import Scorers

LEFT, RIGHT, NORMAL = "Small left pleural effusion.", "Small right pleural effusion.", "The lungs are clear."
TEXTS = st.lists(st.sampled_from([LEFT, RIGHT, NORMAL, "", "Edema.", "w x y"]), min_size=1, max_size=4)


def test_a_draft_nearer_to_its_reference_gets_more():
    reward = Reward({"rule_judge_credit": 2.0, "rule_judge_errors": 1.0, "rouge_l": 1.0})
    exact, wrong_side, normal, silent = reward([LEFT] * 4, [LEFT, RIGHT, NORMAL, ""])
    assert exact == pytest.approx(1.0)
    assert 1 > wrong_side > normal > silent == 0


def test_a_reward_by_hand():
    # One wrong side is one error: 1 / (1 + 1). Edit distance: one of four words.
    reward = Reward({"rule_judge_errors": 3.0, "edit_distance_words": 1.0})
    assert reward([LEFT], [RIGHT]) == pytest.approx([(3 * 0.5 + 1 * 0.75) / 4])


def test_what_has_nothing_to_judge_leaves_its_weight_to_the_others():
    reward = Reward({"critical_misses": 5.0, "rouge_l": 1.0})
    assert reward([LEFT, NORMAL], [LEFT, LEFT]) == pytest.approx([1.0, 0.0])
    assert Reward({"critical_misses": 1.0})([LEFT, LEFT], [LEFT, ""]) == pytest.approx([NEUTRAL, 0.0])


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ({}, ConfigError, "at least one metric"),
        ({"rouge_l": 0}, ConfigError, "above 0"),
        ({"rouge_l": float("nan")}, ConfigError, "above 0"),
        ({"length_words": 1}, ConfigError, "is a description"),
        ({"cider": 1}, ConfigError, "depends on the other reports"),
        ({"rouge": 1}, UnknownNameError, "Did you mean"),
        ({"bertscore": 1}, ConfigError, "runs a model"),
        ({"radcliq_v0": 1}, ConfigError, "no best score"),
    ],
)
def test_what_cannot_be_a_reward_is_refused(weights, error, message):
    with pytest.raises(error, match=message):
        Reward(weights)


@settings(max_examples=30, deadline=None)
@given(TEXTS, st.randoms(use_true_random=False), st.sampled_from(["bleu_4", "rule_judge_errors", "laterality"]))
def test_rewards_are_in_range_and_do_not_depend_on_company(drafts, random, name):
    references = [random.choice([LEFT, RIGHT, NORMAL, ""]) for _ in drafts]
    reward = Reward({name: 1.0, "observation_f1_micro_14": 2.0})
    together = reward(references, drafts)
    alone = [reward([true], [draft])[0] for true, draft in zip(references, drafts, strict=True)]
    assert together.shape == (len(drafts),)
    assert ((together >= 0) & (together <= 1)).all()
    assert np.array_equal(together, alone)
    assert np.array_equal(together, reward(references, drafts))


def test_a_metric_that_runs_a_model_is_a_reward_where_its_weights_are(scorer_weights):
    pytest.importorskip("bert_score")
    with Scorers(scorer_weights) as scorers:
        reward = Reward({"bertscore": 1.0, "rouge_l": 1.0}, Readings(scorers=scorers))
        exact, other, silent = reward([LEFT] * 3, [LEFT, NORMAL, ""])
        assert exact == pytest.approx(1.0, abs=1e-5)
        assert exact > other > silent == 0
