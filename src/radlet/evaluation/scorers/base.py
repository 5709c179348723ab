"""What a metric that runs a model is: facts about its weights, and values of pairs of texts once they are loaded."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from radlet.core.config import Config
from radlet.core.errors import ConfigError
from radlet.metrics.base import Direction, Floats, Metric, ratio

Pair = tuple[str, str]
"""A reference and a draft."""
Values = dict[str, float] | str
"""What a scorer gives for a pair: numbers by name, or the reason why there are none."""

BLANK_IS_NOTHING = "0 where the reference or the draft has no word; the model is not asked"


class ScorerSettings(Config):
    """How metrics that run a model are run."""

    metrics: tuple[str, ...] | None = None
    """Names of such metrics to compute; by default all whose weights and package are there."""
    python: dict[str, Path] = {}
    """Family of weights -> the Python that has its package, where that is not radlet's own."""
    batch_size: int = 32
    """Pairs read at once."""
    timeout_s: float = 600.0
    """How long a package in a Python of its own may take to start, or for one batch, before it counts as hung."""


class PairScorer(ABC):
    """A loaded model that gives numbers for pairs of texts, neither of which is blank."""

    @abstractmethod
    def score(self, pairs: Sequence[Pair]) -> list[Values]:
        """Return the values of every pair, in order."""

    def close(self) -> None:  # noqa: B027 - most hold nothing that must be given back
        """Give back what is held."""


@dataclass(frozen=True)
class Weights:
    """What a family of metrics needs on disk and installed.

    Attributes:
        family: Its folder, below the one given as weights.
        files: Patterns of which each must match a file of that folder.
        place: What to place there, and where it is published.
        licence: Of the weights, as published.
        modules: Python modules of which one must be installed.
        install: How to come by the module.
        keys: Names of the values that its scorer gives.
        open: Loads the scorer from the folder.
        apart: Whether the module may stand in a Python of its own.
    """

    family: str
    files: tuple[str, ...]
    place: str
    licence: str
    modules: tuple[str, ...]
    install: str
    keys: tuple[str, ...]
    open: Callable[[Path, ScorerSettings], PairScorer]
    apart: bool = False


class LoadedWeights(Protocol):
    """What is needed of `loading.Scorers`."""

    def folder(self, weights: Weights) -> Path:
        """Return where the weights of a family are, or should be."""

    def lack(self, weights: Weights) -> str | None:
        """Tell what to do before a family can be used; None where it can."""

    def values(self, weights: Weights, pairs: Sequence[Pair]) -> list[Values]:
        """Return the values of every pair, each different pair read once."""


class ModelMetric(Metric):
    """A metric that runs a model: of the registry, but of no use until `load` gave it its weights.

    Attributes:
        weights: The families it needs.
    """

    reads = "text"
    weights: tuple[Weights, ...]
    _scorers: LoadedWeights | None = None

    def lack(self, scorers: LoadedWeights) -> str | None:
        """Tell what to do before it can be computed; None where it can."""
        return next((lack for weights in self.weights if (lack := scorers.lack(weights))), None)

    def load(self, scorers: LoadedWeights) -> Self:
        """Return this metric with its weights, which `lack` says are there."""
        loaded = copy(self)
        loaded._scorers = scorers
        return loaded

    def unscored(self, references: Sequence[str], predictions: Sequence[str]) -> Counter[str]:  # noqa: ARG002
        """Count the pairs without a score by the reason why."""
        return Counter()

    @property
    def _loaded(self) -> LoadedWeights:
        if self._scorers is None:
            needs = ", ".join(weights.family for weights in self.weights)
            raise ConfigError(f"This metric runs a model: give the folder that holds the weights of {needs}.")
        return self._scorers


@dataclass(eq=False, kw_only=True)
class PairMean(ModelMetric):
    """Mean over reports of one value that a model gives for each pair; pairs without one are left out and counted."""

    weights: tuple[Weights, ...]
    key: str
    what: str
    source: str
    version: int = 1
    low: float = 0.0
    high: float = 1.0
    direction: Direction | None = "higher"
    empty: str = BLANK_IS_NOTHING

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return self.what

    def values(self, pairs: Sequence[Pair]) -> list[float | str]:
        """Return the value of each pair, or the reason why it has none."""
        found = self._loaded.values(self.weights[0], pairs)
        return [values if isinstance(values, str) else values[self.key] for values in found]

    def statistics(self, references: Sequence[Any], predictions: Sequence[Any]) -> Floats:
        """Return the value of each pair and a count of one, zeros where there is none, shape (n, 2)."""
        out = np.zeros((len(references), 2))
        for row, value in zip(out, self.values(_pairs(references, predictions)), strict=True):
            if not isinstance(value, str):
                row[:] = value, 1.0
        return out

    def score(self, totals: Floats) -> Floats:
        """Return the mean over the pairs that have a value."""
        return ratio(totals[..., 0], totals[..., 1])

    def judged(self, totals: Floats) -> Floats:
        """Return how many pairs have a value."""
        return np.asarray(totals[..., 1])

    def unscored(self, references: Sequence[str], predictions: Sequence[str]) -> Counter[str]:
        """Count the pairs without a score by the reason why."""
        values = self.values(_pairs(references, predictions))
        return Counter(value for value in values if isinstance(value, str))


def readable(text: str) -> str:
    """Return a text without the halves of characters that JSON lets through and no tokenizer takes."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def _pairs(references: Sequence[str], predictions: Sequence[str]) -> list[Pair]:
    return [(readable(reference), readable(draft)) for reference, draft in zip(references, predictions, strict=True)]
