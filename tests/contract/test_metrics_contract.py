"""What every entry of the metrics registry must do, whoever wrote it."""

import numpy as np
import pytest

from radlet.core.records import OBSERVATIONS, State
from radlet.core.statements import Statement
from radlet.metrics import METRICS
from radlet.metrics.base import PlacedStatements

P, N, U = State.POSITIVE, State.NEGATIVE, State.UNCERTAIN

REFERENCES = {
    "text": [
        "the heart is enlarged with a small left pleural effusion",
        "no acute cardiopulmonary abnormality is seen on this film",
        "right lower lobe consolidation , no pneumothorax or effusion",
        "the heart is enlarged with a small left pleural effusion",
    ],
    "observations": [
        {name: P if i % 4 == row else N for i, name in enumerate(OBSERVATIONS)} | {"Cardiomegaly": P}
        for row in range(4)
    ],
    "sides": [
        {"Pleural Effusion": ["left"]},
        {"Fracture": ["right"]},
        {"Edema": ["left", "right"]},
        {"Pneumothorax": ["left"]},
    ],
    "statements": [
        [Statement("pleural effusion", P, "left", severity="mild"), Statement("edema", N)],
        [Statement("mass", P, "right", ("upper",), size_mm=40)],
        [Statement("endotracheal tube", P, position="satisfactory"), Statement("picc", P, position="malpositioned")],
        [
            Statement("cardiomegaly", P, severity="severe", change="unchanged"),
            Statement("pneumothorax", P, "left"),
            Statement("pleural effusion", P, "left", severity="severe"),
        ],
    ],
    "priors": [True, False, False, False],
}
DISJOINT = {
    "text": ["zzz qqq www vvv kkk jjj"] * 4,
    "observations": [
        {name: N if state is P else P for name, state in row.items()} for row in REFERENCES["observations"]
    ],
    "sides": [
        {"Pleural Effusion": ["right"]},
        {"Fracture": ["left"]},
        {"Edema": ["left"]},
        {"Pneumothorax": ["right"]},
    ],
    "statements": [[Statement("rib fracture", P, "left")]] * 4,
    "priors": [False, True, True, True],
}
ALTERED = DISJOINT | {
    "text": [f"{text} {text}" for text in REFERENCES["text"]],
    "statements": [
        [Statement("pleural effusion", P, "right", severity="severe", change="new"), Statement("edema", N)],
        [Statement("mass", P, "right", ("lower",), size_mm=40)],
        [Statement("endotracheal tube", P, position="malpositioned"), Statement("picc", P, position="satisfactory")],
        [Statement("cardiomegaly", P, severity="severe"), Statement("pleural effusion", P, "left", severity="mild")],
    ],
}
EMPTY = {"text": "", "observations": {}, "sides": {}, "statements": [], "priors": False}


def placed(statements):
    return PlacedStatements(4 * len(statements), statements, [4 * i for i in range(len(statements))])


for texts in (REFERENCES, DISJOINT, ALTERED):
    texts["placed_statements"] = [placed(statements) for statements in texts["statements"]]
EMPTY["placed_statements"] = placed([])


@pytest.fixture(params=sorted(METRICS))
def metric(request):
    return METRICS[request.param]


def test_no_reports_score_zero(metric):
    statistics = metric.statistics([], [])
    assert statistics.shape == (0, metric.statistics(REFERENCES[metric.reads], REFERENCES[metric.reads]).shape[1])
    assert metric.score(statistics.sum(axis=0)) == 0.0


def test_facts_are_stated(metric):
    assert isinstance(metric.version, int)
    assert metric.version >= 1
    assert metric.low < metric.high
    assert np.isfinite(metric.low) or np.isfinite(metric.high)
    assert metric.direction in ("higher", "lower", None)
    assert metric.sign == {"higher": 1, "lower": -1, None: 0}[metric.direction]
    for text in (metric.empty, metric.source):
        assert len(text) > 10
        assert "\n" not in text


def test_scores_are_in_range(metric):
    references, disjoint, empty = REFERENCES[metric.reads], DISJOINT[metric.reads], [EMPTY[metric.reads]] * 4
    texts = (references, disjoint, empty, [*references[1:], references[0]], [*references[:2], *disjoint[2:]])
    for expected in texts:
        for drafted in texts:
            assert metric.low - 1e-9 <= metric(expected, drafted) <= metric.high + 1e-9


def test_perfect_drafts_are_best(metric):
    if metric.direction is None:
        pytest.skip("a description, not a mark")
    references, disjoint, empty = REFERENCES[metric.reads], DISJOINT[metric.reads], [EMPTY[metric.reads]] * 4
    perfect = metric(references, references)
    bound = metric.high if metric.direction == "higher" else metric.low
    if np.isfinite(bound):
        assert perfect == pytest.approx(bound, abs=2e-3)  # METEOR takes a little off one unbroken run of words
    drafted = (disjoint, [*references[:2], *disjoint[2:]], ALTERED[metric.reads], empty)
    wrong, half, altered, silent = (metric.sign * (perfect - metric(references, drafts)) for drafts in drafted)
    assert min(half, altered, silent) >= 0
    assert wrong >= half
    assert max(wrong, altered) > 0


def test_scores_do_not_vary(metric):
    references, disjoint = REFERENCES[metric.reads], DISJOINT[metric.reads]
    drafts = [*references[:1], *disjoint[1:]]
    first, again = metric.statistics(references, drafts), metric.statistics(list(references), list(drafts))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].direction == "higher"])
def test_wrong_drafts_earn_nothing(name):
    metric = METRICS[name]
    if metric.low == 0:  # scores that may be negative have no level of nothing
        assert metric(REFERENCES[metric.reads], DISJOINT[metric.reads]) == pytest.approx(0.0)
        assert metric(REFERENCES[metric.reads], [EMPTY[metric.reads]] * 4) == 0.0


def test_order_of_reports_does_not_matter(metric):
    references = REFERENCES[metric.reads]
    predictions = [*references[1:], references[0]]
    order = [2, 0, 3, 1]
    assert metric(references, predictions) == pytest.approx(
        metric([references[i] for i in order], [predictions[i] for i in order])
    )


def test_statistics_are_additive(metric):
    references, predictions = REFERENCES[metric.reads], list(reversed(REFERENCES[metric.reads]))
    whole = metric.statistics(references, predictions)
    parts = np.concatenate([metric.statistics(references[i : i + 1], predictions[i : i + 1]) for i in range(4)])
    assert np.array_equal(whole, parts) is not metric.weighs_by_set
    assert whole.dtype == np.float64


def test_score_takes_a_stack_of_totals(metric):
    references, predictions = REFERENCES[metric.reads], list(reversed(REFERENCES[metric.reads]))
    statistics = metric.statistics(references, predictions)
    weights = np.array([[1, 1, 1, 1], [4, 0, 0, 0], [0, 2, 2, 0], [0, 0, 0, 0]], dtype=float)
    stacked = metric.score(weights @ statistics)
    assert stacked.shape == (4,)
    np.testing.assert_allclose(stacked, [float(metric.score(w @ statistics)) for w in weights])
    np.testing.assert_allclose(metric.score((weights @ statistics)[None]), stacked[None])


def test_unequal_lengths_are_refused(metric):
    with pytest.raises(ValueError, match=r"."):
        metric.statistics(REFERENCES[metric.reads], REFERENCES[metric.reads][:2])


def test_nothing_judged_is_no_score_and_all_else_is_the_score(metric):
    references = REFERENCES[metric.reads]
    statistics = metric.statistics(references, [*references[:3], DISJOINT[metric.reads][3]])
    totals = np.stack([statistics.sum(axis=0), np.zeros(statistics.shape[1])])
    some, none = metric.score_judged(totals)
    assert some == metric.score(totals[0])
    judged = metric.judged(totals)
    if judged is None:
        assert none == metric.score(totals[1])
    else:
        assert judged[0] > 0
        assert judged[1] == 0
        assert np.isnan(none)
