"""What every entry of the metrics registry must do, whoever wrote it."""

import numpy as np
import pytest

from radlet.core.records import OBSERVATIONS, State
from radlet.core.statements import Statement
from radlet.metrics import METRICS

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
        [Statement("endotracheal tube", P, position="satisfactory"), Statement("pneumothorax", N)],
        [Statement("cardiomegaly", P, severity="severe", change="unchanged")],
    ],
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
}
EMPTY = {"text": "", "observations": {}, "sides": {}, "statements": []}


@pytest.fixture(params=sorted(METRICS))
def metric(request):
    return METRICS[request.param]


def test_no_reports_score_zero(metric):
    statistics = metric.statistics([], [])
    assert statistics.shape == (0, metric.statistics(REFERENCES[metric.reads], REFERENCES[metric.reads]).shape[1])
    assert metric.score(statistics.sum(axis=0)) == 0.0


def test_empty_reports_are_finite(metric):
    empty, full = [EMPTY[metric.reads]] * 4, REFERENCES[metric.reads]
    for references, predictions in ((empty, empty), (empty, full), (full, empty)):
        assert np.isfinite(metric(references, predictions))
    if metric.best is not None:
        assert metric(full, empty) == 0.0


def test_perfect_predictions_score_best(metric):
    references = REFERENCES[metric.reads]
    if metric.best is not None:
        assert metric(references, references) == pytest.approx(metric.best)


def test_disjoint_predictions_score_zero(metric):
    if metric.best is not None:
        assert metric(REFERENCES[metric.reads], DISJOINT[metric.reads]) == pytest.approx(0.0)


def test_a_half_right_set_lies_between(metric):
    if metric.best is None:
        pytest.skip("a description, not a mark")
    references, disjoint = REFERENCES[metric.reads], DISJOINT[metric.reads]
    assert 0.0 < metric(references, [*references[:2], *disjoint[2:]]) < metric.best


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
