"""Values of the metrics that run a model against the packages that define them, on tiny random weights."""

import numpy as np
import pytest
import torch
from nltk.translate.meteor_score import meteor_score
from tests.fixtures.scorer_weights import WORDS

from radlet.evaluation.scorers.base import ScorerSettings
from radlet.evaluation.scorers.loading import Scorers
from radlet.evaluation.scorers.radcliq import RADCLIQ_V0, RADCLIQ_V1, bleu_2
from radlet.metrics import METRICS
from radlet.metrics.words import plain_words
from radlet.models.labellers.chexbert import CheXbertLabeller

bert_score = pytest.importorskip("bert_score")
sentence_transformers = pytest.importorskip("sentence_transformers")


def random_texts(seed, n):
    draws = np.random.default_rng(seed)
    return [" ".join(draws.choice(WORDS, draws.integers(1, 30))) for _ in range(n)]


REFERENCES, DRAFTS = random_texts(0, 25), random_texts(1, 25)


@pytest.fixture(scope="module")
def scorers(scorer_weights):
    with Scorers(scorer_weights, ScorerSettings(batch_size=64)) as scorers:
        yield scorers


# bert-score 0.3.13 reads its baseline in a way of which torch warns.
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("rescaled", [False, True])
def test_bertscore_equals_bert_score(scorers, scorer_weights, rescaled):
    folder = scorer_weights / "bertscore" / "distilroberta-base"
    package = bert_score.__path__[0]
    scorer = bert_score.BERTScorer(
        model_type=str(folder),
        num_layers=5,  # what the package reads of a model of this name
        lang="en",
        rescale_with_baseline=rescaled,
        baseline_path=f"{package}/rescale_baseline/en/distilroberta-base.tsv",
    )
    scorer._tokenizer.model_max_length = 512  # this folder's tokenizer does not tell
    expected = scorer.score(DRAFTS, REFERENCES)[2].numpy()
    metric = scorers.metric("bertscore_rescaled" if rescaled else "bertscore")
    np.testing.assert_allclose(metric.statistics(REFERENCES, DRAFTS)[:, 0], expected, atol=1e-6)


def test_bertscore_cuts_what_the_encoder_cannot_read(scorers):
    long, longer = "heart " * 510, "heart " * 3000
    value = scorers.metric("bertscore")(["heart is clear"], [longer])
    assert value == pytest.approx(scorers.metric("bertscore")(["heart is clear"], [long]), abs=1e-6)


def test_meteor_equals_nltk_with_the_same_wordnet(scorers):
    metric = scorers.metric("meteor")
    drafts = [text.replace("heart", "ticker") for text in DRAFTS]
    values = metric.statistics(REFERENCES, drafts)[:, 0]
    from nltk.corpus import wordnet  # finds the folder now that the metric has read it

    expected = [
        meteor_score([plain_words(true)], plain_words(draft), wordnet=wordnet)
        for true, draft in zip(REFERENCES, drafts, strict=True)
    ]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert metric(["the heart is large"], ["the ticker is large"]) > METRICS["meteor_exact_stem"](
        ["the heart is large"], ["the ticker is large"]
    )


def test_embedding_similarity_equals_sentence_transformers(scorers, scorer_weights):
    model = sentence_transformers.SentenceTransformer(str(scorer_weights / "embedding"))
    one, other = (model.encode(texts, show_progress_bar=False) for texts in (REFERENCES, DRAFTS))
    expected = sentence_transformers.util.pairwise_cos_sim(one, other).numpy()
    found = scorers.metric("embedding_similarity").statistics(REFERENCES, DRAFTS)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_chexbert_similarity_is_the_cosine_of_the_first_token(scorers, scorer_weights):
    labeller = CheXbertLabeller(path=scorer_weights / "chexbert")
    from radlet.models.labellers.chexbert import load_chexbert

    model, tokenizer = load_chexbert(labeller.path)
    expected = []
    for pair in zip(REFERENCES, DRAFTS, strict=True):
        with torch.inference_mode():
            first = [model.bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0] for text in pair]
        expected.append(float(torch.cosine_similarity(first[0], first[1], dim=0)))
    found = scorers.metric("chexbert_similarity").statistics(REFERENCES, DRAFTS)[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_radcliq_v1_is_the_published_line():
    # StandardScaler and coefficients of the published object, worked out by themselves.
    means = np.array([0.53792312, 0.61757256, 0.76479421, 0.44738335])
    scales = np.array([0.30282584, 0.22430938, 0.25394391, 0.29892717])
    coefficients = np.array([-3.77083683e-01, -3.70300100e-01, -2.52616218e-01, 4.31504841e-12])
    for values in np.random.default_rng(0).random((5, 4)):
        assert RADCLIQ_V1.line.at(values) == pytest.approx(((values - means) / scales) @ coefficients, abs=1e-9)
    assert 0 <= RADCLIQ_V1.line.at((1, 1, 1, 1)) - RADCLIQ_V1.low < 0.01


def test_radcliq_is_drawn_through_its_four_metrics(scorer_weights, stub_python):
    settings = ScorerSettings(python={"radgraph": stub_python})
    with Scorers(scorer_weights, settings) as scorers:
        drafts, references = DRAFTS[:6], REFERENCES[:6]
        parts = [
            scorers.metric(name).statistics(references, drafts)[:, 0]
            for name in ("bertscore_rescaled", "chexbert_similarity")
        ]
        pairs = list(zip(references, drafts, strict=True))
        radgraph = [values["mean"] for values in scorers.values(RADCLIQ_V0.weights[0], pairs)]
        found = scorers.metric("radcliq_v0").statistics(references, drafts)[:, 0]
    overlap = [bleu_2(*pair) for pair in pairs]
    np.testing.assert_allclose(found, 4 - np.array(radgraph) - 2 * parts[0] - 3 * parts[1] - 0.5 * np.array(overlap))


def test_bleu_2_by_hand():
    # Words 3 of 3, pairs 1 of 2, length exp(1 - 4/3).
    assert bleu_2("The heart is large", "the heart large") == pytest.approx(np.exp(-1 / 3) * np.sqrt(1 / 2))
    assert bleu_2("heart.", "heart .") == 1.0
    assert bleu_2("", "a") == bleu_2("a", " ") == 0.0
