"""How the next token is chosen from logits, for engines that hand them over: greedy or drawn, guided or not."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from radlet.inference.engines.base import Sampling

Logits = NDArray[np.float32]


def guide(logits: Logits, blind: Logits, guidance: float) -> Logits:
    """Move log-probabilities (B, V) away from those without films (Sanchez et al. 2023, equation 7)."""
    away = log_softmax(blind, axis=-1)
    moved: Logits = away + np.float32(guidance) * (log_softmax(logits, axis=-1) - away)
    return moved


def choose(logits: Logits, sampling: Sampling, generator: np.random.Generator) -> list[int]:
    """Return one token id for each row of (B, V)."""
    if not sampling.temperature:
        return [int(token) for token in logits.argmax(axis=-1)]
    scores = log_softmax(logits.astype(np.float64) / sampling.temperature, axis=-1)
    return [_draw(np.exp(row), sampling.top_p, generator) for row in scores]


def _draw(probabilities: NDArray[np.float64], top_p: float, generator: np.random.Generator) -> int:
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    if top_p < 1:  # those before which less than top_p lies; always the likeliest
        ranked = ranked * (np.cumsum(ranked) - ranked < top_p)
    return int(order[generator.choice(len(order), p=ranked / ranked.sum())])
