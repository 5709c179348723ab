"""What every engine offers."""

from collections.abc import Sequence
from typing import Protocol

import torch

from radlet.core.config import Config
from radlet.models.report_model import ReportModel


class Sampling(Config):
    """How the next token is chosen; the default, greedy, gives the same text every time."""

    max_new_tokens: int = 160
    """Longest answer."""
    temperature: float = 0.0
    """0 takes the likeliest token; above, tokens are drawn."""
    top_p: float = 1.0
    """Draw only from the likeliest tokens that together have this probability."""
    seed: int = 0
    """Seed of the draws."""


class Engine(Protocol):
    """Generate answers for prompts of different lengths at once."""

    def __init__(self, report_model: ReportModel) -> None: ...

    def generate(
        self, prompts: Sequence[Sequence[int]], pixel_values: torch.Tensor | None, sampling: Sampling
    ) -> list[list[int]]:
        """Return the new token ids of each prompt, up to and without the end token.

        Args:
            prompts: Token ids, image tokens expanded.
            pixel_values: The films of all prompts in order, (films, 3, S, S); None when there are none.
            sampling: How tokens are chosen.
        """
        ...
