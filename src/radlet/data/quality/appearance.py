"""What a film looks like: a chest seen from the front or the side, upright or turned, its greys as usual or exchanged.

Linear classifiers over features that can be drawn: in 8 x 8 fields, how strong the edges of each of eight directions
are (Dalal and Triggs 2005, without overlap), and in 16 x 16 fields how bright the film is relative to the rest of it.
The weights were learnt from synthetic films and drawn counter-examples alone; ``weights.json`` tells how.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special, stats

_FIELDS, _DIRECTIONS, _BRIGHT = 8, 8, 16
_EDGES = _FIELDS * _FIELDS * _DIRECTIONS
_EDGE_SIGMA = 0.7
_FLOOR = 1e-3
"""Strength of edges below which a field counts as empty; keeps noise from being amplified."""

VIEWS = ("frontal", "lateral", "turned_90", "turned_180", "turned_270", "other")
"""Classes of the view classifier; turned ones are counter-clockwise, `other` is no chest film."""

SIDES = ("top", "bottom", "left", "right")
"""Classifiers of lungs that are cut off: one for each side of the film."""


@dataclass(frozen=True)
class ViewShares:
    """Probabilities of the kinds of view; those that one question compares add up to 1."""

    chest: float
    """Any chest film, against anything else."""
    turned: float
    """Turned by 90, 180 or 270 degrees, given that it is a chest film."""
    lateral: float
    """Seen from the side rather than the front, given that it is an upright chest film."""


def read_features(grey: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the features (768,) of a small film (64, 64)."""
    return np.concatenate([_edges(grey), _brightness(grey)]).astype(np.float32)


def view_shares(features: NDArray[np.float32]) -> ViewShares:
    """Return what the view classifier thinks of a film with these features."""
    weights, bias = _weights("view")
    logits = dict(zip(VIEWS, weights @ features + bias, strict=True))
    upright = np.logaddexp(logits["frontal"], logits["lateral"])
    turned = special.logsumexp([logits["turned_90"], logits["turned_180"], logits["turned_270"]])
    chest = np.logaddexp(upright, turned)
    return ViewShares(
        chest=float(special.expit(chest - logits["other"])),
        turned=float(special.expit(turned - upright)),
        lateral=float(special.expit(logits["lateral"] - logits["frontal"])),
    )


def inverted_share(features: NDArray[np.float32]) -> float:
    """Return the probability that black and white are exchanged.

    It reads the brightness alone and has no bias, so that a film and its negative get p and 1 - p.
    """
    weights, _ = _weights("inverted")
    return float(special.expit((weights @ features[_EDGES:]).item()))


def cut_shares(features: NDArray[np.float32]) -> dict[str, float]:
    """Return, for each of `SIDES`, the probability that a part of the lungs lies beyond it.

    Means something for upright frontal chest films alone.
    """
    weights, bias = _weights("cropped")
    shares = special.expit(weights @ features + bias)
    return dict(zip(SIDES, shares.tolist(), strict=True))


@lru_cache(maxsize=8)
def _weights(name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = json.loads((files(__package__) / "weights.json").read_text(encoding="utf-8"))["classifiers"][name]
    return np.array(table["weights"]), np.array(table["bias"])


def _edges(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the square roots of the shares of each direction in each field, relative to the fields around it."""
    smooth = ndimage.gaussian_filter(grey, _EDGE_SIGMA)
    down, right = np.gradient(smooth)
    direction = np.floor(np.mod(np.arctan2(down, right), np.pi) / np.pi * _DIRECTIONS).astype(np.intp) % _DIRECTIONS
    field = np.arange(grey.shape[0]) * _FIELDS // grey.shape[0]
    index = (field[:, None] * _FIELDS + field[None, :]) * _DIRECTIONS + direction
    strength = np.bincount(index.ravel(), np.hypot(down, right).ravel(), _EDGES)
    strength = strength.reshape(_FIELDS, _FIELDS, _DIRECTIONS)
    around = ndimage.uniform_filter((strength**2).sum(axis=-1), 3, mode="nearest") * 9
    return np.asarray(np.sqrt(strength / np.sqrt(around + _FLOOR)[..., None]).ravel())


def _brightness(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean rank of the greys in each field, -1 (the darkest) to 1: no window or exposure changes it."""
    ranks = 2 * (stats.rankdata(grey, method="average").reshape(grey.shape) - 0.5) / grey.size - 1
    step = grey.shape[0] // _BRIGHT
    return np.asarray(ranks.reshape(_BRIGHT, step, _BRIGHT, step).mean(axis=(1, 3)).ravel())
