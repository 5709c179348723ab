"""Likeness of two reports as the cosine of the vectors that a sentence encoder on disk gives them."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import CheckpointError
from radlet.evaluation.scorers.base import Pair, PairMean, PairScorer, ScorerSettings, Values, Weights


class CosineScorer(PairScorer):
    """A model that turns texts into vectors; a text that stands in many pairs is read once.

    Args:
        batch_size: Texts read at once.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row for each text, (n, d)."""

    def read(self, texts: Sequence[str]) -> None:
        """Embed the texts that have not been read yet."""
        fresh = sorted({text for text in texts if text not in self._vectors}, key=lambda text: (len(text), text))
        for start in range(0, len(fresh), self._batch_size):
            batch = fresh[start : start + self._batch_size]
            rows = self.embed(batch)
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            self._vectors |= dict(zip(batch, rows / np.maximum(lengths, 1e-12), strict=True))

    def score(self, pairs: Sequence[Pair]) -> list[Values]:
        """Return the cosine of every pair."""
        self.read([text for pair in pairs for text in pair])
        return [{"cosine": float(self._vectors[one] @ self._vectors[other])} for one, other in pairs]


class SentenceScorer(CosineScorer):
    """A sentence-transformers folder.

    Raises:
        CheckpointError: The folder cannot be read.
    """

    def __init__(self, folder: Path, batch_size: int) -> None:
        super().__init__(batch_size)
        from sentence_transformers import SentenceTransformer  # loads torch

        try:
            self._model = SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{folder}: cannot be read as a sentence-transformers model ({type(error).__name__}). Place all of its "
                "published files there."
            ) from None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row for each text, (n, d)."""
        rows = self._model.encode(list(texts), batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(rows, dtype=np.float32)


def _open_sentences(folder: Path, settings: ScorerSettings) -> PairScorer:
    return SentenceScorer(folder, settings.batch_size)


SENTENCES = Weights(
    family="embedding",
    files=("modules.json", "**/*.safetensors"),
    place="a sentence-transformers model, such as all-MiniLM-L6-v2 of the Hugging Face hub,",
    licence="the model's own; Apache-2.0 for all-MiniLM-L6-v2",
    modules=("sentence_transformers",),
    install='"radlet[scorers]"',
    keys=("cosine",),
    open=_open_sentences,
)
EMBEDDING_SIMILARITY = PairMean(
    weights=(SENTENCES,),
    key="cosine",
    what="Cosine of the vectors that a sentence encoder gives the two texts.",
    source="Reimers and Gurevych 2019, Sentence-BERT; sentence-transformers 6",
    low=-1.0,
)
