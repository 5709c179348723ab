"""What stands behind a draft: its sentences, where the model looked for each, and how faithful that map is."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.evaluation.faithfulness import Curves, Phrase, follow
from radlet.inference.attention import Map, Span
from radlet.inference.drafter import Drafter, DraftRequest

_SENTENCE = re.compile(r"[^\s.!?](?:[^.!?]|[.!?](?=\S))*[.!?]*")


@dataclass(frozen=True)
class Evidence:
    """Where the model looked while it wrote a sentence.

    Attributes:
        weights: (rows, cols) float32 that sums to 1, over the square that the encoder saw.
        faithfulness: Area under the insertion curve minus that under the deletion curve (Petsiuk et al. 2018): the
            higher, the more the sentence depends on what the map shows; a map that knows nothing is at 0 on average.
        curves: Both curves.
    """

    weights: Map
    faithfulness: float
    curves: Curves


def sentences_of(text: str) -> list[Span]:
    """Return where the sentences of a draft stand."""
    return [(match.start(), match.end()) for match in _SENTENCE.finditer(text)]


def look_behind(drafter: Drafter, request: DraftRequest, text: str, span: Span) -> Evidence:
    """Return the evidence for a span of a draft.

    Args:
        drafter: Who wrote it; of an export, the checkpoint is asked.
        request: What it was written from.
        text: The draft.
        span: Of the sentence.

    Raises:
        DataError: There is no film, or the span holds no words.
    """
    start, end = span
    if not text[start:end].strip():
        raise DataError("There are no words to explain.")
    weights = drafter.attention(request, text, [span])[0].weighted
    curves = follow(drafter, request, Phrase(text[:start].rstrip(), text[:end]), {"map": weights}, 32)["map"]
    deletion, insertion = curves.areas
    return Evidence(weights, insertion - deletion, curves)


def on_film(weights: Map, part: tuple[float, float, float, float], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a map as grey values over a film of (H, W) pixels.

    Args:
        weights: (rows, cols).
        part: Of the film that the encoder's square shows, as `shown_part` gives it.
        shape: Of the picture to make.
    """
    (height, width), (x_min, y_min, x_max, y_max) = shape, part
    low, high = float(np.median(weights)), float(weights.max())
    heat = np.clip((weights - low) / max(high - low, 1e-9), 0, 1)
    rows = _between((np.arange(height) + 0.5) / height, y_min, y_max, weights.shape[0])
    columns = _between((np.arange(width) + 0.5) / width, x_min, x_max, weights.shape[1])
    # Bilinear: first down the rows, then along the columns. Outside the square nothing was seen.
    down = _mixed(heat, rows)
    both = _mixed(down.T, columns).T
    both[(rows < -0.5) | (rows > weights.shape[0] - 0.5)] = 0
    both[:, (columns < -0.5) | (columns > weights.shape[1] - 0.5)] = 0
    return np.asarray((both * 255).round(), np.uint8)


def _between(places: NDArray[np.float64], low: float, high: float, count: int) -> NDArray[np.float64]:
    """Return where places of the film lie among the middles of `count` patches."""
    return (places - low) / (high - low) * count - 0.5


def _mixed(values: NDArray[np.floating], places: NDArray[np.float64]) -> NDArray[np.floating]:
    inside = np.clip(places, 0, len(values) - 1)
    below = np.minimum(inside.astype(np.int64), max(len(values) - 2, 0))
    share = (inside - below)[:, None]
    above = np.minimum(below + 1, len(values) - 1)
    return np.asarray(values[below] * (1 - share) + values[above] * share)
