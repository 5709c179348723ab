"""Does the phrase depend on the patches that a map calls important? Deletion and insertion (Petsiuk et al. 2018).

Patches of the film are greyed out in the order of the map, the strongest first (deletion), or shown on a grey film in
that order (insertion). At each step the model is asked how likely it finds the phrase, after its own draft up to it.
A faithful map makes the likelihood fall early and rise early.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from radlet.metrics.base import Floats

if TYPE_CHECKING:
    from radlet.core.records import Example
    from radlet.data.images import FilmChange, ImageSettings
    from radlet.inference.drafter import DraftRequest

STEPS = 8
"""Steps from the whole film to none of it."""


class Asking(Protocol):
    """What is needed of a task."""

    def request(self, example: "Example", image_paths: Sequence[str]) -> "DraftRequest":
        """Return what the model is given."""


class Reader(Protocol):
    """What is needed of a drafter."""

    image_settings: "ImageSettings"

    def log_likelihoods(
        self, requests: "Sequence[DraftRequest]", texts: Sequence[str], *, ended: bool = False, batch_size: int = 16
    ) -> NDArray[np.float64]:
        """Return the log-likelihood of each text and its number of tokens, (n, 2)."""


@dataclass(frozen=True)
class Phrase:
    """A phrase of a draft: the words up to it, and those with it."""

    before: str
    through: str


@dataclass(frozen=True)
class Curves:
    """Likelihood of a phrase, the geometric mean over its tokens, at `STEPS` + 1 steps of each."""

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]

    @property
    def areas(self) -> tuple[float, float]:
        """Areas under both curves, 0..1."""
        return float(np.trapezoid(self.deletion) / STEPS), float(np.trapezoid(self.insertion) / STEPS)


def follow(
    reader: Reader,
    request: "DraftRequest",
    phrase: Phrase,
    maps: Mapping[str, NDArray[np.floating[Any]]],
    batch_size: int,
) -> dict[str, Curves]:
    """Return the curves of each map for one phrase, by the first film of the request."""
    kept: dict[bytes, NDArray[np.bool_]] = {}
    steps = {name: (_steps(weights), ~_steps(weights)) for name, weights in maps.items()}
    for both in steps.values():
        for one in both:
            kept.update((mask.tobytes(), mask) for mask in one)  # whole and grey films stand in every curve
    requests = [_with_patches(request, mask, reader.image_settings) for mask in kept.values()]
    found = dict(zip(kept, _likelihoods(reader, requests, phrase, batch_size), strict=True))
    return {
        name: Curves(*(tuple(float(found[mask.tobytes()]) for mask in one) for one in (removed, shown)))
        for name, (removed, shown) in steps.items()
    }


def only_patches(kept: NDArray[np.bool_], settings: "ImageSettings") -> "FilmChange":
    """Return a change that leaves of a film the patches kept (rows, cols), and the mean grey of the film elsewhere."""
    # Looking at what was judged needs no image library; changing films does.
    from radlet.data.images import shown_part  # noqa: PLC0415

    def change(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = film.shape
        x_min, y_min, x_max, y_max = shown_part(height, width, settings)
        rows = _patch_of((np.arange(height) + 0.5) / height, y_min, y_max, kept.shape[0])
        columns = _patch_of((np.arange(width) + 0.5) / width, x_min, x_max, kept.shape[1])
        return np.where(kept[np.ix_(rows, columns)], film, np.uint8(round(float(film.mean()))))

    return change


def _patch_of(places: Floats, low: float, high: float, count: int) -> NDArray[np.int64]:
    return np.clip(((places - low) / (high - low) * count).astype(np.int64), 0, count - 1)


def _steps(weights: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which patches are left at each step of deletion, (STEPS + 1, rows, cols)."""
    ranks = np.empty(weights.size, np.int64)
    ranks[np.argsort(-weights, axis=None, kind="stable")] = np.arange(weights.size)
    gone = np.round(np.linspace(0, weights.size, STEPS + 1)).astype(np.int64)
    return np.asarray(ranks >= gone[:, None]).reshape(-1, *weights.shape)


def _with_patches(request: "DraftRequest", kept: NDArray[np.bool_], settings: "ImageSettings") -> "DraftRequest":
    others = (_unchanged,) * (len(request.image_paths) - 1)
    return replace(request, changes=(only_patches(kept, settings), *others))


def _unchanged(film: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return film


def _likelihoods(reader: Reader, requests: "Sequence[DraftRequest]", phrase: Phrase, batch_size: int) -> Floats:
    """Return the mean likelihood of a token of the phrase under each request."""
    texts = [phrase.before, phrase.through] if phrase.before else [phrase.through]
    asked = [request for request in requests for _ in texts]
    both = reader.log_likelihoods(asked, texts * len(requests), batch_size=batch_size).reshape(-1, len(texts), 2)
    own = both[:, -1] - both[:, 0] if phrase.before else both[:, 0]
    return np.asarray(np.exp(own[:, 0] / np.maximum(own[:, 1], 1)))
