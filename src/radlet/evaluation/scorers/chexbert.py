"""How alike two texts are to CheXbert (Smit et al. 2020).

F1 of the observations that it reads is `radlet.metrics.observations` with CheXbert as the labeller.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.evaluation.scorers.base import PairMean, PairScorer, ScorerSettings, Weights
from radlet.evaluation.scorers.embeddings import CosineScorer


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

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row for each text, (n, d)."""
        from radlet.models.labellers.chexbert import read_texts

        return read_texts(self._model, self._tokenizer, texts)[0]


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


SEMB = PairMean(
    weights=(CHEXBERT,),
    key="cosine",
    what="Cosine of the vectors that CheXbert reads the two texts' labels from (s_emb of RadCliQ).",
    source="Yu et al. 2023, Evaluating progress in automatic chest X-ray radiology report generation",
    low=-1.0,
)
