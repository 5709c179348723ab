"""Finding the right report for a film and the right film for a report: recall at k, both ways.

Reports repeat ("no acute disease"), so a retrieved text that equals the study's own counts as the right answer: the
pool of texts holds each text once, and a text's right films are all films that bear it. Because that changes how hard
the task is, the level reached by guessing is always reported beside the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from radlet.metrics.base import Floats
from radlet.metrics.text_shape import normalise

RECALL_AT = (1, 5, 10)


@dataclass(frozen=True)
class Ranks:
    """Rank of the right answer for every study, 1 = first; a tie with a wrong answer counts against it.

    Attributes:
        image_to_text: Rank of the study's text among the `num_texts` different texts, shape (n,).
        text_to_image: Rank of the best of the text's own films among the wrong films, shape (n,).
        num_right_images: How many films bear the study's text, shape (n,).
        num_texts: Number of different texts in the pool.
    """

    image_to_text: NDArray[np.int64]
    text_to_image: NDArray[np.int64]
    num_right_images: NDArray[np.int64]
    num_texts: int


def rank(image_embeddings: NDArray[np.floating], text_embeddings: NDArray[np.floating], texts: Sequence[str]) -> Ranks:
    """Rank by dot product; row i of both arrays, shape (n, d), belongs to study i.

    Raises:
        ValueError: The three inputs are not of one length.
    """
    n = len(texts)
    if image_embeddings.shape[0] != n or text_embeddings.shape[0] != n:
        raise ValueError(f"{n} texts, {image_embeddings.shape[0]} images and {text_embeddings.shape[0]} text rows")
    numbers: dict[str, int] = {}
    answer = np.array([numbers.setdefault(normalise(text), len(numbers)) for text in texts], dtype=np.int64)
    _, first = np.unique(answer, return_index=True)
    pool = text_embeddings[first]
    to_text = np.empty(n, dtype=np.int64)
    to_image = np.empty(n, dtype=np.int64)
    # One study at a time: the (n, n) matrix of a large test set would not fit in memory.
    for i in range(n):
        scores = pool @ image_embeddings[i]
        to_text[i] = (scores >= scores[answer[i]]).sum()
        films = image_embeddings @ pool[answer[i]]
        right = answer == answer[i]
        to_image[i] = 1 + (films[~right] >= films[right].max()).sum()
    return Ranks(to_text, to_image, np.bincount(answer, minlength=len(numbers))[answer], len(numbers))


def recall_statistics(ranks: NDArray[np.int64], k: int) -> Floats:
    """Return a hit (0 or 1) and a count of one for every query, shape (n, 2); the recall is their ratio."""
    return np.stack([ranks <= k, np.ones(len(ranks))], axis=1).astype(np.float64)


def chance_image_to_text(ranks: Ranks, k: int) -> float:
    """Return the recall at k of a random order of the texts."""
    return min(k, ranks.num_texts) / ranks.num_texts if ranks.num_texts else 0.0


def chance_text_to_image(ranks: Ranks, k: int) -> float:
    """Return the recall at k of a random order of the films: 1 - C(n - m, k) / C(n, k) for m right ones of n."""
    n, m = len(ranks.num_right_images), ranks.num_right_images.astype(np.float64)
    if not n:
        return 0.0
    k = min(k, n)
    possible = n - m >= k
    wrong = np.where(possible, n - m, k)
    log_miss = gammaln(wrong + 1) - gammaln(wrong - k + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    return float(np.mean(1.0 - np.where(possible, np.exp(log_miss), 0.0)))
