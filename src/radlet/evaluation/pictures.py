"""Choose the films that the page shows and draw where the model looked, as images that fit inside the page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radlet.evaluation.readings import read_reports
from radlet.inference.overlay import blend_attention
from radlet.metrics.base import ratio
from radlet.metrics.lexical import ROUGE_L
from radlet.metrics.observations import F1_MICRO_14

T = TypeVar("T")


@dataclass(frozen=True)
class Overlay:
    """Where the model looked while it wrote `phrase`; `image` is a data URI."""

    phrase: str
    image: str


@dataclass(frozen=True)
class Picture:
    """One film of the page with its texts.

    Attributes:
        row: Line of ``predictions.jsonl``, 1-based; the only name a case has on the page.
        film: The film as a data URI.
        reference: Expected text.
        draft: The model's text.
        overlays: Attention maps over the film.
        question: What was asked, where it is a question of its own.
    """

    row: int
    film: str
    reference: str
    draft: str
    overlays: tuple[Overlay, ...] = ()
    question: str | None = None


def draw_rows(rows: Sequence[T], count: int, seed: int) -> list[T]:
    """Return so many of the rows at most, drawn at random, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return [rows[int(place)] for place in np.sort(chosen)]


def typical_rows(references: Sequence[str], count: int, seed: int) -> list[int]:
    """Return rows drawn at random among those whose reference has a positive observation, in order of the split."""
    positives = _support(references) > 0
    rows = np.flatnonzero(positives if positives.sum() >= count else np.ones(len(references), bool))
    return sorted(np.random.default_rng(seed).permutation(rows)[:count].tolist())


def worst_rows(references: Sequence[str], drafts: Sequence[str], count: int) -> list[int]:
    """Return the rows with the lowest observation F1; ties go to more wrong decisions, then to fewer shared words."""
    counts = F1_MICRO_14.statistics(read_reports(references, "observations"), read_reports(drafts, "observations"))
    true, false, missed = (block.sum(axis=1) for block in np.split(counts, 3, axis=1))
    f1 = ratio(2 * true, 2 * true + false + missed)
    wrong = false + missed
    words = ROUGE_L.statistics(references, drafts)[:, 0]
    order = np.lexsort((words, -wrong, f1))
    return [int(row) for row in order if wrong[row] > 0][:count]


def film_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a grey film (S, S) as a JPEG data URI."""
    return _uri(Image.fromarray(pixels))


def overlay_uri(pixels: NDArray[np.uint8], weights: NDArray[np.float32]) -> str:
    """Return a film (S, S) with attention (rows, cols) laid over it as a JPEG data URI."""
    return _uri(blend_attention(pixels, weights))


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _support(references: Sequence[str]) -> NDArray[np.float64]:
    labels = read_reports(references, "observations")
    counts = F1_MICRO_14.statistics(labels, labels)[:, :13]  # the last of the 14 is No Finding
    return np.asarray(counts.sum(axis=1))
