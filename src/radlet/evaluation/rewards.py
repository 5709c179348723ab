"""Metrics as a reward: one number from 0 to 1 for each draft, for preference tuning to choose and learn by.

The metrics are those of the registry and judge each draft against its own reference alone, so that a draft's reward
does not depend on its company and is the same in every batch.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from radlet.core.errors import ConfigError
from radlet.evaluation.readings import Readings
from radlet.evaluation.scorers.base import ModelMetric
from radlet.metrics import METRICS
from radlet.metrics.base import Floats, Metric

NEUTRAL = 0.5
"""Reward of a draft that none of the metrics has anything to judge in."""


class Reward:
    """A weighted mean of metrics, each turned so that 1 is best and 0 worst.

    A metric without an upper end (a count of errors) becomes 1 / (1 + count). A metric that has nothing to judge in a
    report is left out there, and the others weigh as much more. A draft without a word gets 0.

    Args:
        weights: Metric -> its weight, above 0; they need not add up to 1.
        readings: What reads the texts; by default the rules. A metric that runs a model needs the readings' scorers.

    Raises:
        UnknownNameError: A name is not in the metrics registry.
        ConfigError: There is no metric, a weight is not above 0, or a metric cannot be a reward or runs a model that is
            not there.
    """

    def __init__(self, weights: Mapping[str, float], readings: Readings | None = None) -> None:
        if not weights:
            raise ConfigError("A reward needs at least one metric with its weight.")
        self._metrics = {name: _usable(name, weight, readings) for name, weight in weights.items()}
        self._weights = np.array(list(weights.values()), dtype=np.float64)
        self._readings = readings

    def __call__(self, references: Sequence[str], predictions: Sequence[str]) -> Floats:
        """Return the reward of each draft, shape (n,)."""
        # Readings of their own for each call, unless given: a training run would keep every draft it ever wrote.
        readings = self._readings or Readings()
        scores = np.empty((len(self._metrics), len(references)))
        for row, metric in zip(scores, self._metrics.values(), strict=True):
            texts = (readings.of(references, metric.reads), readings.of(predictions, metric.reads))
            row[:] = _unit(metric, metric.score_judged(metric.statistics(*texts)))
        judged = ~np.isnan(scores)
        weight = (self._weights[:, None] * judged).sum(axis=0)
        total = (self._weights[:, None] * np.where(judged, scores, 0.0)).sum(axis=0)
        rewards = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), NEUTRAL)
        return np.where([bool(text.strip()) for text in predictions], rewards, 0.0)


def _usable(name: str, weight: float, readings: Readings | None) -> Metric:
    metric: Metric = METRICS[name]
    if not weight > 0 or not np.isfinite(weight):
        raise ConfigError(f"The weight of '{name}' is {weight:g}; give a number above 0.")
    if metric.direction is None:
        raise ConfigError(f"'{name}' is a description: neither more nor less of it is better. Choose a mark.")
    if metric.weighs_by_set:
        raise ConfigError(f"'{name}' depends on the other reports of a set, which a reward may not. Choose another.")
    if not np.isfinite(metric.high if metric.direction == "higher" else metric.low):
        raise ConfigError(f"'{name}' has no best score, so it cannot be brought onto 0 to 1. Choose another.")
    if not isinstance(metric, ModelMetric):
        return metric
    if readings is None or readings.scorers is None:
        raise ConfigError(f"'{name}' runs a model. Give readings with the scorers that hold its weights.")
    return readings.scorers.metric(name)


def _unit(metric: Metric, scores: Floats) -> Floats:
    """Bring scores onto 0 to 1, best 1; NaN stays."""
    best, worst = (metric.high, metric.low) if metric.sign > 0 else (metric.low, metric.high)
    distance = np.abs(best - scores)
    return 1 - distance / abs(best - worst) if np.isfinite(worst) else 1 / (1 + distance)
