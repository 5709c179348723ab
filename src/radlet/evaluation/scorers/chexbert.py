"""What CheXbert (Smit et al. 2020) says of two texts: how alike they are to it, and F1 of the observations it reads.

Its one pass over a text gives both, so a text is read once for all of these metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import OBSERVATIONS_5, State
from radlet.evaluation.scorers.base import ModelMetric, PairMean, PairScorer, ScorerSettings, Weights, readable
from radlet.evaluation.scorers.embeddings import CosineScorer
from radlet.metrics.base import Floats
from radlet.metrics.observations import ObservationAgreement


class CheXbertScorer(CosineScorer):
    """The vector that CheXbert's heads read, the first token's of BERT's last layer, and what they read of it.

    Args:
        folder: What ``radlet import chexbert`` wrote.
        batch_size: Texts read at once.

    Raises:
        CheckpointError: The folder holds no CheXbert.
    """

    def __init__(self, folder: Path, batch_size: int) -> None:
        super().__init__(batch_size)
        from radlet.models.labellers.chexbert import load_chexbert  # loads torch

        self._model, self._tokenizer = load_chexbert(folder)
        self._states: dict[str, dict[str, State]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row for each text, (n, d), and keep the states."""
        from radlet.models.labellers.chexbert import read_texts

        rows, states = read_texts(self._model, self._tokenizer, texts)
        self._states |= dict(zip(texts, states, strict=True))
        return rows

    def states(self, text: str) -> dict[str, State]:
        """Return the states of a text; one without a word states nothing."""
        if not text.strip():
            return {}
        self.read([text])
        return self._states[text]


def _open(folder: Path, settings: ScorerSettings) -> PairScorer:
    return CheXbertScorer(folder, settings.batch_size)


CHEXBERT = Weights(
    family="chexbert",
    files=("config.json", "model.safetensors"),
    place="what `radlet import chexbert` makes of the published chexbert.pth (stanfordmlgroup/CheXbert)",
    licence="Stanford's research licence, no commercial use",
    modules=("transformers",),
    install='"radlet[models]"',
    keys=("cosine",),
    open=_open,
)


@dataclass(eq=False)
class CheXbertF1(ModelMetric):
    """F1 of the observations that CheXbert reads off draft and reference, in the place of the rules.

    Attributes:
        agreement: Which observations count, how they are averaged, and how uncertain ones count.
    """

    agreement: ObservationAgreement

    weights = (CHEXBERT,)
    empty = ObservationAgreement.empty
    source = "Smit et al. 2020, CheXbert; macro over the observations that occur in the references"

    def statistics(self, references: Sequence[Any], predictions: Sequence[Any]) -> Floats:
        """Count the decisions on each pair, shape (n, 3 * number of observations)."""
        scorers = self._loaded
        scorer = cast("CheXbertScorer", scorers.opened(CHEXBERT))
        sides = [[readable(text) for text in texts] for texts in (references, predictions)]
        texts = {text for side in sides for text in side if text.strip()}
        for batch in scorers.batches(sorted(texts, key=lambda text: (len(text), text)), CHEXBERT):
            scorer.read(batch)
        expected, drafted = ([scorer.states(text) for text in side] for side in sides)
        return self.agreement.statistics(expected, drafted)

    def score(self, totals: Floats) -> Floats:
        """Average F1 over decisions (micro) or over observations with support (macro)."""
        return self.agreement.score(totals)

    def judged(self, totals: Floats) -> Floats:
        """Return the decisions F1 divides by (micro) or the observations it averages over (macro)."""
        return self.agreement.judged(totals)


SEMB = PairMean(
    weights=(CHEXBERT,),
    key="cosine",
    what="Cosine of the vectors that CheXbert reads the two texts' labels from (s_emb of RadCliQ).",
    source="Yu et al. 2023, Evaluating progress in automatic chest X-ray radiology report generation",
    low=-1.0,
)
F1_MICRO_14 = CheXbertF1(ObservationAgreement())
F1_MACRO_14 = CheXbertF1(ObservationAgreement(average="macro"))
F1_MICRO_5 = CheXbertF1(ObservationAgreement(OBSERVATIONS_5))
F1_MACRO_5 = CheXbertF1(ObservationAgreement(OBSERVATIONS_5, average="macro"))
F1_MICRO_14_WITH_UNCERTAIN = CheXbertF1(ObservationAgreement(with_uncertain=True))
F1_MACRO_14_WITH_UNCERTAIN = CheXbertF1(ObservationAgreement(average="macro", with_uncertain=True))
F1_MICRO_5_WITH_UNCERTAIN = CheXbertF1(ObservationAgreement(OBSERVATIONS_5, with_uncertain=True))
F1_MACRO_5_WITH_UNCERTAIN = CheXbertF1(ObservationAgreement(OBSERVATIONS_5, average="macro", with_uncertain=True))
