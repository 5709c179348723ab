"""What every metric that runs a model must do, on tiny random weights or stand-ins for its package."""

import numpy as np
import pytest
from tests.fixtures.scorer_weights import APART

from radlet.core.errors import ConfigError
from radlet.evaluation.scorers.base import ScorerSettings
from radlet.evaluation.scorers.loading import Scorers, model_metrics
from radlet.metrics import METRICS

NAMES = sorted(name for name, _ in model_metrics())
REFERENCES = [
    "the heart is large .",
    "no pneumothorax is seen .",
    "small left effusion , no pneumothorax .",
    "lungs are clear .",
]
WRONG = ["right right", "the the", "are , are", "no . no"]


@pytest.fixture(scope="module")
def scorers(scorer_weights, stub_python):
    pytest.importorskip("bert_score")
    with Scorers(scorer_weights, ScorerSettings(python=dict.fromkeys(APART, stub_python), batch_size=3)) as scorers:
        yield scorers


@pytest.fixture(params=NAMES)
def metric(request, scorers):
    return scorers.metric(request.param)


def test_all_of_a_full_folder_are_found(scorers):
    assert sorted(scorers.names) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_stated(name):
    metric = METRICS[name]
    assert metric.version >= 1
    assert metric.low < metric.high
    assert metric.range
    assert metric.direction in ("higher", "lower")
    for weights in metric.weights:
        for fact in (metric.empty, metric.source, metric.summary, weights.place, weights.licence, weights.install):
            assert len(fact) > 2
            assert "\n" not in fact


@pytest.mark.parametrize("name", NAMES)
def test_without_weights_it_says_what_to_place_where(name):
    with pytest.raises(ConfigError, match=r"place .* at WEIGHTS/"):
        Scorers(None).metric(name)
    with pytest.raises(ConfigError, match="give the folder"):
        METRICS[name].statistics(REFERENCES, REFERENCES)


def test_scores_are_in_range_and_perfect_drafts_are_best(metric):
    perfect = metric(REFERENCES, REFERENCES)
    wrong, mixed = metric(REFERENCES, WRONG), metric(REFERENCES, [*REFERENCES[:2], *WRONG[2:]])
    for score in (perfect, wrong, mixed):
        assert metric.low - 1e-6 <= score <= metric.high + 1e-6
    assert metric.sign * (perfect - mixed) >= 0
    assert metric.sign * (perfect - wrong) > 0


def test_empty_texts_are_scored(metric):
    empty = [""] * 4
    for references, drafts in ((empty, empty), (REFERENCES, empty), (empty, REFERENCES)):
        assert np.isfinite(metric(references, drafts))
    assert metric.sign * (metric(REFERENCES, REFERENCES) - metric(REFERENCES, empty)) > 0
    assert metric.statistics([], []).shape[0] == 0


def test_statistics_are_additive_and_in_order(metric):
    drafts = list(reversed(REFERENCES))
    whole = metric.statistics(REFERENCES, drafts)
    parts = np.concatenate([metric.statistics(REFERENCES[i : i + 1], drafts[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    totals = np.stack([whole.sum(axis=0), 2 * whole[0]])
    np.testing.assert_allclose(metric.score(totals), [metric(REFERENCES, drafts), metric.score(whole[0])])


def test_unequal_lengths_are_refused(metric):
    with pytest.raises(ValueError, match=r"."):
        metric.statistics(REFERENCES, REFERENCES[:2])


def test_odd_texts_are_scored_or_counted(metric):
    odd = ["effusion " * 10_000, "胸水なし", "\x00\x07 heart", "\ud800"]
    statistics = metric.statistics(REFERENCES, odd)
    assert np.isfinite(statistics).all()
    assert sum(metric.unscored(REFERENCES, odd).values()) <= 1
