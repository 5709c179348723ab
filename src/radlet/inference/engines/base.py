"""What every engine offers."""

from collections.abc import Sequence
from typing import Protocol

import torch
from pydantic import Field

from radlet.core.config import Config
from radlet.models.report_model import ReportModel


class Sampling(Config):
    """How the next token is chosen; the default, greedy, gives the same text every time."""

    max_new_tokens: int = Field(default=160, ge=1)
    """Longest answer."""
    temperature: float = Field(default=0.0, ge=0)
    """0 takes the likeliest token; above, tokens are drawn."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw only from the likeliest tokens that together have this probability."""
    seed: int = 0
    """Seed of the draws."""
    guidance: float = Field(default=1.0, ge=1)
    """How much the films count: the log-probabilities move from those without films, past those with them, by this
    factor (classifier-free guidance, Sanchez et al. 2023, equation 7). 1 leaves them alone."""


class Engine(Protocol):
    """Generate answers for prompts of different lengths at once."""

    def __init__(self, report_model: ReportModel) -> None: ...

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt, up to and without the end token.

        Args:
            prompts: Token ids, image tokens expanded.
            blind_prompts: The same prompts without films, which guidance holds them against; None without guidance.
            pixel_values: The films of all prompts in order, (films, 3, S, S); None when there are none.
            sampling: How tokens are chosen.
        """
        ...
