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


def test_each_observation_metric_says_what_it_is():
    names = [name for name in METRICS if name.startswith("observation_")]
    assert len({METRICS[name].summary for name in names}) == len(names)
    expected = "Precision of 5 observations called present, pooled over all decisions."
    assert METRICS["observation_precision_micro_5"].summary == expected


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


FROZEN = {
    # (seed, drafts) -> what the packages themselves gave on these texts: sacrebleu 2.6.0 (corpus BLEU / 100),
    # rouge-score 0.1.2 (no stemmer, mean F), nltk 3.10.4 (single_meteor_score on lower-case words without
    # punctuation, no WordNet, mean), rapidfuzz 3.14.6 (Levenshtein.normalized_distance, mean).
    (0, "mutated"): {
        "bleu_1": 0.717809689,
        "bleu_2": 0.6410723923,
        "bleu_3": 0.5676383359,
        "bleu_4": 0.4998955061,
        "rouge_1": 0.8045291069,
        "rouge_2": 0.6236553006,
        "rouge_l": 0.8045291069,
        "meteor_exact_stem": 0.640293741,
        "edit_distance_words": 0.2335065117,
        "edit_distance_characters": 0.2403446727,
    },
    (0, "random"): {
        "bleu_1": 0.3312698684,
        "bleu_2": 0.1136793402,
        "bleu_3": 0.0311686964,
        "bleu_4": 0.0140174175,
        "rouge_1": 0.2655824658,
        "rouge_2": 0.0625301287,
        "rouge_l": 0.1958958838,
        "meteor_exact_stem": 0.1612899272,
        "edit_distance_words": 0.9010484294,
        "edit_distance_characters": 0.8051482161,
    },
    (1, "mutated"): {
        "bleu_1": 0.7318576053,
        "bleu_2": 0.6603607958,
        "bleu_3": 0.5940183588,
        "bleu_4": 0.5325504326,
        "rouge_1": 0.8296720793,
        "rouge_2": 0.6625830813,
        "rouge_l": 0.8296720793,
        "meteor_exact_stem": 0.7151592094,
        "edit_distance_words": 0.2308528342,
        "edit_distance_characters": 0.2412498645,
    },
    (1, "random"): {
        "bleu_1": 0.417794971,
        "bleu_2": 0.1417854199,
        "bleu_3": 0.0357495152,
        "bleu_4": 0.0154205469,
        "rouge_1": 0.3426396019,
        "rouge_2": 0.0721841635,
        "rouge_l": 0.2307447813,
        "meteor_exact_stem": 0.2196439099,
        "edit_distance_words": 0.8797638485,
        "edit_distance_characters": 0.7611170436,
    },
    (2, "mutated"): {
        "bleu_1": 0.6863246624,
        "bleu_2": 0.615794815,
        "bleu_3": 0.5457481443,
        "bleu_4": 0.4830618549,
        "rouge_1": 0.7651224337,
        "rouge_2": 0.556216744,
        "rouge_l": 0.7651224337,
        "meteor_exact_stem": 0.6087040788,
        "edit_distance_words": 0.2809444282,
        "edit_distance_characters": 0.283435524,
    },
    (2, "random"): {
        "bleu_1": 0.3558648111,
        "bleu_2": 0.1141847206,
        "bleu_3": 0.0394105166,
        "bleu_4": 0.016748048,
        "rouge_1": 0.3110691972,
        "rouge_2": 0.0655081754,
        "rouge_l": 0.2103223366,
        "meteor_exact_stem": 0.1879939529,
        "edit_distance_words": 0.8935264577,
        "edit_distance_characters": 0.7926871875,
    },
}


@pytest.mark.parametrize(("seed", "drafts"), FROZEN)
def test_words_score_as_the_packages_did(seed, drafts):
    references = random_texts(seed, 40)
    predictions = mutated(references, seed + 9) if drafts == "mutated" else random_texts(seed + 77, 40)
    values = {name: METRICS[name](references, predictions) for name in FROZEN[seed, drafts]}
    assert values == pytest.approx(FROZEN[seed, drafts], abs=1e-6)


def test_meteor_by_hand():
    # The example of nltk's documentation has no synonym that stems do not give: 0.6944 there too with WordNet.
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    draft = "It is a guide to action which ensures that the military always obeys the commands of the party"
    assert METRICS["meteor_exact_stem"]([reference], [draft]) == pytest.approx(0.6944, abs=5e-5)
    # Four words in one run: 1 - 0.5 * (1 / 4)^3. Stems match: "effusions" and "effusion".
    assert METRICS["meteor_exact_stem"](["a b c d"], ["a b c d"]) == pytest.approx(1 - 0.5 / 64)
    assert METRICS["meteor_exact_stem"](["effusions"], ["effusion"]) == pytest.approx(0.5)


def levenshtein(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_edit_distance_equals_the_table_of_its_definition():
    references, predictions = random_texts(8, 20), mutated(random_texts(8, 20), 9)
    shares = [
        levenshtein(r.split(), p.split()) / max(len(r.split()), len(p.split()), 1)
        for r, p in zip(references, predictions, strict=True)
    ]
    assert METRICS["edit_distance_words"](references, predictions) == pytest.approx(np.mean(shares), abs=1e-9)


@pytest.mark.parametrize("measure", ["precision", "recall"])
@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("num", [14, 13, 5])
def test_precision_and_recall_of_every_kind_equal_sklearn(measure, average, num):
    names = {14: OBSERVATIONS, 13: OBSERVATIONS[:-1], 5: OBSERVATIONS_5}[num]
    references, predictions = random_states(5, 60, OBSERVATIONS), random_states(6, 60, OBSERVATIONS)
    truth, drafted = (positives(rows, names, {State.POSITIVE}) for rows in (references, predictions))
    expected = {"precision": precision_score, "recall": recall_score}[measure](truth, drafted, average=average)
    metric = METRICS[f"observation_{measure}_{average}_{num}"]
    assert metric(references, predictions) == pytest.approx(expected, abs=1e-6)
