"""Word overlap of a draft with its reference: BLEU-1 to 4 (sacrebleu's counts), ROUGE-1, 2 and L (rouge_score).

Words are cheap to match and say little about findings: read these beside the observation metrics, never alone.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
from rapidfuzz.distance import LCSseq
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenize import tokenize
from sacrebleu.metrics.bleu import BLEU

from radlet.metrics.base import Floats, Metric, ratio


class Bleu(Metric):
    """Corpus BLEU (Papineni et al. 2002) in 0..1, as sacrebleu computes it: 13a tokens, case kept, `exp` smoothing.

    Statistics: draft length, reference length, matched n-grams of each order, drafted n-grams of each order.

    Args:
        max_order: Longest n-gram counted; 4 gives BLEU-4.
    """

    reads = "text"
    empty = "an empty draft matches nothing; 0 where no draft is as long as the longest n-gram"
    source = "Papineni et al. 2002, corpus BLEU as sacrebleu counts it"

    def __init__(self, max_order: int) -> None:
        self.max_order = max_order

    @cached_property
    def _counter(self) -> Any:
        return BLEU(max_ngram_order=self.max_order, effective_order=True)

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Count lengths and n-grams of each pair, shape (n, 2 + 2 * max_order)."""
        out = np.zeros((len(references), 2 + 2 * self.max_order))
        for row, reference, prediction in zip(out, references, predictions, strict=True):
            counted = self._counter.sentence_score(prediction, [reference])
            row[:] = [counted.sys_len, counted.ref_len, *counted.counts, *counted.totals]
        return out

    def score(self, totals: Floats) -> Floats:
        """Combine counts into BLEU; 0 when nothing matches or no n-gram of the longest order was drafted."""
        drafted, expected = totals[..., 0], totals[..., 1]
        matched, possible = totals[..., 2 : 2 + self.max_order], totals[..., 2 + self.max_order :]
        # The k-th order without a match counts as 1 / 2^k of a match (sacrebleu's default smoothing).
        misses = np.cumsum((matched == 0) & (possible > 0), axis=-1)
        precision = ratio(np.where(matched == 0, 0.5**misses, matched), possible)
        scored = np.asarray((matched > 0).any(axis=-1) & (possible > 0).all(axis=-1))
        log_mean = np.log(np.where(np.expand_dims(scored, -1), precision, 1.0)).mean(axis=-1)
        brevity = np.minimum(0.0, 1.0 - expected / np.maximum(drafted, 1.0))
        return np.asarray(np.where(scored, np.exp(log_mean + brevity), 0.0))


class Rouge(Metric):
    """ROUGE F-measure (Lin 2004) by rouge_score without stemming, averaged over reports, in 0..1.

    Args:
        variant: "1" and "2" count words and pairs of words, "L" the longest common subsequence.
    """

    reads = "text"
    empty = "an empty draft or reference scores 0 and counts as a report"
    source = "Lin 2004, F-measure as rouge_score 0.1.2 computes it"

    def __init__(self, variant: Literal["1", "2", "L"]) -> None:
        self.variant = variant

    @cached_property
    def _scorer(self) -> Any:
        return RougeScorer([f"rouge{self.variant}"], use_stemmer=False)

    def statistics(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the F-measure of each pair and a count of one, shape (n, 2)."""
        rows = [
            (self._fmeasure(reference, prediction), 1.0)
            for reference, prediction in zip(references, predictions, strict=True)
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def score(self, totals: Floats) -> Floats:
        """Return the mean over reports."""
        return ratio(totals[..., 0], totals[..., 1])

    def _fmeasure(self, reference: str, prediction: str) -> float:
        if self.variant != "L":
            return float(self._scorer.score(reference, prediction)[f"rouge{self.variant}"].fmeasure)
        # rouge_score fills a table of words by words, which takes minutes for the longest texts people hand in.
        true, drafted = _tokens(reference), _tokens(prediction)
        return 2 * LCSseq.similarity(true, drafted) / max(len(true) + len(drafted), 1)


@lru_cache(maxsize=20_000)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(tokenize(text, None))


BLEU_1 = Bleu(1)
BLEU_2 = Bleu(2)
BLEU_3 = Bleu(3)
BLEU_4 = Bleu(4)
ROUGE_1 = Rouge("1")
ROUGE_2 = Rouge("2")
ROUGE_L = Rouge("L")
