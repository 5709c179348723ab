"""METEOR with synonyms: words of a draft matched to the reference's as written, by stem, and by WordNet on disk."""

import warnings
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

from radlet.core.errors import CheckpointError
from radlet.evaluation.scorers.base import Pair, PairMean, PairScorer, ScorerSettings, Values, Weights
from radlet.metrics.meteor import meteor
from radlet.metrics.words import plain_words


class SynonymScorer(PairScorer):
    """METEOR by nltk with the WordNet of a folder.

    Raises:
        CheckpointError: The folder cannot be read as WordNet.
    """

    def __init__(self, folder: Path) -> None:
        import nltk.data
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
        from nltk.corpus.util import LazyCorpusLoader

        root = str(folder.resolve())
        if root not in nltk.data.path:
            nltk.data.path.insert(0, root)  # the one way in which nltk opens a folder
        self._wordnet = LazyCorpusLoader("wordnet", WordNetCorpusReader, omw_reader=None)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that other languages are not there
                self._wordnet.synsets("heart")
        except (LookupError, OSError, ValueError, AssertionError) as error:
            raise CheckpointError(
                f"{folder}: cannot be read as data of nltk ({type(error).__name__}). Place its corpora/wordnet there."
            ) from None
        # nltk asks for the same words again with every pair.
        self.synsets = lru_cache(maxsize=50_000)(self._synsets)

    def _synsets(self, word: str) -> Collection[object]:
        found: Collection[object] = self._wordnet.synsets(word)
        return found

    def score(self, pairs: Sequence[Pair]) -> list[Values]:
        """Return METEOR of every pair."""
        return [
            {"meteor": meteor(plain_words(reference), plain_words(draft), wordnet=self)} for reference, draft in pairs
        ]


def _open(folder: Path, _settings: ScorerSettings) -> PairScorer:
    return SynonymScorer(folder)


WORDNET = Weights(
    family="wordnet",
    files=("corpora/wordnet*",),
    place="what `python -m nltk.downloader -d FOLDER wordnet` writes: corpora/wordnet or corpora/wordnet.zip,",
    licence="WordNet's own, free for any use",
    modules=("nltk",),
    install="radlet",
    keys=("meteor",),
    open=_open,
)
METEOR = PairMean(
    weights=(WORDNET,),
    key="meteor",
    what="METEOR of the stages exact, Porter stem and WordNet synonym, mean over reports.",
    source="Lavie and Agarwal 2007 (alpha 0.9, beta 3, gamma 0.5) by nltk's meteor_score; not the COCO code's 1.5",
)
