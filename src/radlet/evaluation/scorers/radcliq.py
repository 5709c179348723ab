"""RadCliQ (Yu et al. 2023): how many errors a radiologist would count, by a line through four other metrics.

They are RadGraph, BERTScore, CheXbert's vectors and BLEU-2. Lower is better, and a perfect draft lies below 0 in
version 1.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import Any

from radlet.core.errors import CheckpointError
from radlet.core.records import Record
from radlet.evaluation.scorers.base import LoadedWeights, Pair, PairMean, PairScorer, ScorerSettings, Weights
from radlet.evaluation.scorers.bertscore import BERTSCORE_RESCALED, find_encoder
from radlet.evaluation.scorers.bertscore import WEIGHTS as BERTSCORE
from radlet.evaluation.scorers.chexbert import CHEXBERT
from radlet.evaluation.scorers.packages import RADGRAPH

_ENCODER = "distilroberta-base"


class Line(Record):
    """Coefficients of RadGraph, BERTScore, s_emb and BLEU-2, in that order, and the intercept."""

    coefficients: tuple[float, float, float, float]
    intercept: float

    @classmethod
    def standardised(cls, means: Sequence[float], scales: Sequence[float], coefficients: Sequence[float]) -> "Line":
        """Return the line through (value - mean) / scale."""
        slopes = [one / scale for one, scale in zip(coefficients, scales, strict=True)]
        intercept = -sum(slope * mean for slope, mean in zip(slopes, means, strict=True))
        return cls(coefficients=tuple(slopes), intercept=intercept)

    def at(self, values: Sequence[float]) -> float:
        """Return its height at four values."""
        return self.intercept + sum(one * value for one, value in zip(self.coefficients, values, strict=True))


@dataclass(eq=False, kw_only=True)
class RadCliq(PairMean):
    """RadCliQ of each pair, averaged over reports: the errors that a radiologist would count.

    Attributes:
        line: The published line; None where it is read from the file of COEFFICIENTS.
    """

    line: Line | None = None

    key: str = "radcliq"
    low: float = float("-inf")
    high: float = float("inf")
    direction: Any = "lower"
    empty: str = "the four metrics count as 0, which gives a high (bad) score"

    @property
    def range(self) -> str:
        """The scores there can be, in words."""
        return "any number" if self.low == float("-inf") else super().range

    def lack(self, scorers: LoadedWeights) -> str | None:
        """Tell what to do before it can be computed; None where it can."""
        lack = super().lack(scorers)
        folder = scorers.folder(BERTSCORE)
        if lack or find_encoder(folder).relative_to(folder).as_posix() == _ENCODER:
            return lack
        return f"place {_ENCODER} at {folder / _ENCODER}, the encoder that RadCliQ was fitted with"

    def values(self, pairs: Sequence[Pair]) -> list[float | str]:
        """Return the score of each pair, or the reason why one of the four has none.

        Raises:
            CheckpointError: The file of coefficients is not one.
        """
        scorers = self._loaded
        line = self.line or _read_line(scorers.folder(COEFFICIENTS) / _LINE_FILE)
        parts = [
            [found if isinstance(found, str) else found[key] for found in scorers.values(weights, pairs)]
            for weights, key in ((RADGRAPH, "mean"), (BERTSCORE, BERTSCORE_RESCALED.key), (CHEXBERT, "cosine"))
        ]
        parts.append([bleu_2(reference, draft) for reference, draft in pairs])
        return [_height(line, values) for values in zip(*parts, strict=True)]


def bleu_2(reference: str, draft: str) -> float:
    """Return BLEU-2 of one pair: lower case, full stops apart; 0.1 for an order without a match (NLTK's method 1)."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu  # slow to import

    expected, drafted = (text.lower().replace(".", " .").split() for text in (reference, draft))
    if not expected or not drafted:
        return 0.0
    return float(sentence_bleu([expected], drafted, (0.5, 0.5), smoothing_function=SmoothingFunction().method1))


def _height(line: Line, values: Sequence[float | str]) -> float | str:
    numbers = [value for value in values if not isinstance(value, str)]
    return line.at(numbers) if len(numbers) == len(values) else next(v for v in values if isinstance(v, str))


def _read_line(file: Path) -> Line:
    try:
        return Line.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file}: holds no coefficients of RadCliQ ({type(error).__name__}). docs/weights.md tells how to make it."
        ) from None


def _no_model(folder: Path, _settings: ScorerSettings) -> PairScorer:
    raise CheckpointError(f"{folder}: holds coefficients and no model.")


_LINE_FILE = "coefficients.json"
COEFFICIENTS = Weights(
    family="radcliq-v0",
    files=(_LINE_FILE,),
    place="coefficients.json, made from the two pickles of rajpurkarlab/CXR-Report-Metric as docs/weights.md tells,",
    licence="MIT",
    modules=("nltk",),
    install='"radlet[scorers]"',
    keys=(),
    open=_no_model,
)
_SOURCE = "Yu et al. 2023, Evaluating progress in automatic chest X-ray radiology report generation; CXR-Report-Metric"
RADCLIQ_V0 = RadCliq(
    weights=(RADGRAPH, BERTSCORE, CHEXBERT, COEFFICIENTS),
    what="RadCliQ-v0: the errors that radiologists would count, a line through four metrics scaled to their ranges.",
    source=f"{_SOURCE}, version 0, coefficients read from a file",
)
# As fitted by its authors; the coefficient of BLEU is nought but for rounding.
_V1 = Line.standardised(
    means=(0.53792312, 0.61757256, 0.76479421, 0.44738335),
    scales=(0.30282584, 0.22430938, 0.25394391, 0.29892717),
    coefficients=(-0.377083683, -0.3703001, -0.252616218, 4.31504841e-12),
)
RADCLIQ_V1 = RadCliq(
    weights=(RADGRAPH, BERTSCORE, CHEXBERT),
    what="RadCliQ-v1: the errors that radiologists would count, a line through four standardised metrics.",
    source=f"{_SOURCE}, version 1, BERTScore without idf",
    low=floor(100 * _V1.at((1.0, 1.0, 1.0, 0.0))) / 100,
    line=_V1,
)
