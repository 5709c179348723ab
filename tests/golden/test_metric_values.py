"""Metric values against the libraries that define them, and against values worked by hand."""

import warnings

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sklearn.metrics import f1_score, precision_score, recall_score

from radlet.core.records import OBSERVATIONS, OBSERVATIONS_5, State
from radlet.metrics import METRICS
from radlet.metrics.observations import ObservationAgreement

WORDS = "the heart lungs are is clear enlarged no small left right effusion pneumothorax seen , . 1.5 well-aerated"


def random_texts(seed, n):
    draws = np.random.default_rng(seed)
    return [" ".join(draws.choice(WORDS.split(), draws.integers(0, 25))) for _ in range(n)]


def mutated(texts, seed):
    draws = np.random.default_rng(seed)
    return [" ".join(w for w in text.split() if draws.random() > 0.25) for text in texts]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_bleu_equals_sacrebleu(order, seed):
    references = random_texts(seed, 40)
    for predictions in (mutated(references, seed + 9), random_texts(seed + 77, 40), references):
        expected = BLEU(max_ngram_order=order).corpus_score(predictions, [references]).score / 100
        assert METRICS[f"bleu_{order}"](references, predictions) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("reference", "draft"),
    [
        ("the heart is large", "the heart"),
        ("the heart is large", "the heart is small and round"),
        ("a b c d e f", "a x b y c z"),
        ("a b c", "a b c"),
        ("a", ""),
        ("", "a"),
        ("a b a b", "a a a a a"),
    ],
)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_bleu_of_short_texts_equals_sacrebleu(reference, draft, order):
    expected = BLEU(max_ngram_order=order).corpus_score([draft], [[reference]]).score / 100
    assert METRICS[f"bleu_{order}"]([reference], [draft]) == pytest.approx(expected, abs=1e-6)


def test_bleu_by_hand():
    # "the heart is big" against "the heart is not big": 4/4 words match; brevity exp(1 - 5/4).
    assert METRICS["bleu_1"](["the heart is not big"], ["the heart is big"]) == pytest.approx(np.exp(-0.25))


def test_rouge_l_equals_rouge_score():
    references = random_texts(3, 30)
    predictions = mutated(references, 4)
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    expected = np.mean([scorer.score(r, p)["rougeL"].fmeasure for r, p in zip(references, predictions, strict=True)])
    assert METRICS["rouge_l"](references, predictions) == pytest.approx(expected, abs=1e-6)


def test_rouge_l_by_hand():
    # Longest common subsequence "the is big" = 3 of 4 words each way; no stemming, so effusions != effusion.
    assert METRICS["rouge_l"](["the heart is big"], ["the lung is big"]) == pytest.approx(0.75)
    assert METRICS["rouge_l"](["effusions"], ["effusion"]) == 0.0


def random_states(seed, n, names):
    draws = np.random.default_rng(seed)
    return [{name: State(draws.choice(list(State))) for name in names} for _ in range(n)]


def positives(rows, names, states):
    return np.array([[row[name] in states for name in names] for row in rows])


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("names", [OBSERVATIONS, OBSERVATIONS_5])
@pytest.mark.parametrize("suffix", ["", "_with_uncertain"])
def test_observation_f1_equals_sklearn(average, names, suffix):
    states = {State.POSITIVE, State.UNCERTAIN} if suffix else {State.POSITIVE}
    references, predictions = random_states(1, 60, OBSERVATIONS), random_states(2, 60, OBSERVATIONS)
    expected = f1_score(positives(references, names, states), positives(predictions, names, states), average=average)
    metric = METRICS[f"observation_f1_{average}_{len(names)}{suffix}"]
    assert metric(references, predictions) == pytest.approx(expected, abs=1e-6)


def test_precision_and_recall_equal_sklearn():
    references, predictions = random_states(5, 60, OBSERVATIONS), random_states(6, 60, OBSERVATIONS)
    truth, drafted = (positives(rows, OBSERVATIONS, {State.POSITIVE}) for rows in (references, predictions))
    precision, recall = METRICS["observation_precision_micro_14"], METRICS["observation_recall_micro_14"]
    assert precision(references, predictions) == pytest.approx(precision_score(truth, drafted, average="micro"))
    assert recall(references, predictions) == pytest.approx(recall_score(truth, drafted, average="micro"))


def test_macro_f1_leaves_out_what_never_occurs():
    P = State.POSITIVE
    references = [{"Edema": P}, {"Edema": P, "Fracture": P}, {}]
    predictions = [{"Edema": P}, {"Fracture": P}, {"Fracture": P, "Cardiomegaly": P}]
    # Edema: 1 right, 1 missed -> 2/3. Fracture: 1 right, 1 false -> 2/3. Cardiomegaly never occurs: left out.
    assert METRICS["observation_f1_macro_14"](references, predictions) == pytest.approx(2 / 3)
    # Micro keeps the false Cardiomegaly: 2 right, 2 false, 1 missed.
    assert METRICS["observation_f1_micro_14"](references, predictions) == pytest.approx(4 / 7)
    metric = ObservationAgreement()
    support = metric.support(metric.statistics(references, predictions).sum(axis=0))
    assert dict(zip(OBSERVATIONS, support, strict=True)) == dict.fromkeys(OBSERVATIONS, 0) | {"Edema": 2, "Fracture": 1}


def test_laterality_by_hand():
    references = [
        {"Pleural Effusion": ["left"]},
        {"Pleural Effusion": ["right"], "Fracture": ["left"]},
        {"Edema": ["left", "right"]},
        {"Pneumothorax": ["bilateral"]},
    ]
    predictions = [
        {"Pleural Effusion": ["left", "right"]},  # one right, one wrong
        {"Pleural Effusion": ["right", "bilateral"], "Edema": ["left"]},  # one right; Edema is not there
        {"Edema": ["left"]},  # truly on both sides: not judged
        {"Pneumothorax": ["left"]},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert METRICS["laterality"](references, predictions) == pytest.approx(2 / 3)


def test_what_is_judged_by_hand():
    effusion, heart = {"Pleural Effusion": State.POSITIVE}, {"Cardiomegaly": State.POSITIVE}
    references, predictions = [effusion | heart, effusion, {}], [effusion, heart, {}]

    def judged(name):
        metric = METRICS[name]
        return metric.judged(metric.statistics(references, predictions).sum(axis=0))

    assert judged("observation_f1_micro_14") == 4  # one right, one false, two missed
    assert judged("observation_precision_micro_14") == 2
    assert judged("observation_recall_micro_14") == 3
    assert judged("observation_f1_macro_14") == 2


@pytest.mark.parametrize("variant", ["1", "2"])
def test_rouge_equals_rouge_score(variant):
    references = random_texts(3, 40)
    predictions = mutated(references, 8)
    scorer = RougeScorer([f"rouge{variant}"])
    expected = np.mean(
        [scorer.score(r, p)[f"rouge{variant}"].fmeasure for r, p in zip(references, predictions, strict=True)]
    )
    assert METRICS[f"rouge_{variant}"](references, predictions) == pytest.approx(expected, abs=1e-6)


CIDER_D = {
    # seed -> CiderScorer(n=4, sigma=6.0) of pycocoevalcap 1.2 on the same words: mutated, random, equal drafts
    0: (4.770611469086709, 0.44491141443109694, 8.8125),
    1: (5.4154184693184195, 0.5752304874297025, 9.3125),
    2: (4.3535822635374535, 0.46786976500684235, 8.625),
}


@pytest.mark.parametrize("seed", CIDER_D)
def test_cider_equals_the_coco_evaluation(seed):
    references = random_texts(seed, 40)
    drafts = (mutated(references, seed + 9), random_texts(seed + 77, 40), references)
    values = [METRICS["cider"](references, predictions) for predictions in drafts]
    assert values == pytest.approx(CIDER_D[seed], abs=1e-6)


def test_cider_by_hand():
    # "heart" and "lungs" are rare, "clear" stands in both references and weighs nothing.
    references = ["heart clear", "lungs clear"]
    assert METRICS["cider"](references, ["clear", "clear"]) == 0.0
    # Of two orders that a text of two words has, each is matched whole: (1 + 1 + 0 + 0) / 4 of ten.
    assert METRICS["cider"](references, references) == pytest.approx(5.0)
