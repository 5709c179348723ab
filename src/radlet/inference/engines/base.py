"""What every engine offers, and how a feature that one lacks is refused."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

import torch
from pydantic import Field

from radlet.core.config import Config
from radlet.core.errors import ConfigError

if TYPE_CHECKING:
    from radlet.inference.decoding import Reader
    from radlet.inference.exports import ExportedModel
    from radlet.inference.likelihoods import Continuation

Feature = Literal["sampling", "guidance", "log_likelihoods", "steps"]
"""What an engine may or may not serve. Greedy drafts of batches, with and without films, are served by all."""


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
    """Generate answers for prompts of different lengths at once.

    The engine of the checkpoint itself is made from a report model; every other one from an export.
    """

    features: ClassVar[frozenset[Feature]]
    """What it serves beside greedy drafts."""

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


class ExportEngine(Engine, Protocol):
    """An engine that reads an export."""

    @classmethod
    def load(cls, exported: "ExportedModel") -> Self:
        """Open the engine's files.

        Raises:
            CheckpointError: They cannot be read.
        """
        ...


class JudgingEngine(Engine, Protocol):
    """An engine with the feature ``log_likelihoods``."""

    def log_likelihoods(
        self,
        prompts: Sequence[list[int]],
        pixel_values: torch.Tensor | None,
        continuations: Sequence["Continuation"],
    ) -> list[float]:
        """Return the sum of the log-probabilities of each text's tokens (see `continuation_log_likelihoods`)."""
        ...


class SteppingEngine(Engine, Protocol):
    """An engine with the feature ``steps``: it writes token by token under radlet's own loop."""

    ends: Collection[int]
    """Tokens at which an answer is over."""

    @property
    def joins(self) -> bool:
        """Whether prompts can join while others are being answered; else they wait until those have ended."""
        ...

    def reader(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> "Reader":
        """Return what reads the prompts (see `Engine.generate`), to be used under `torch.inference_mode`."""
        ...


def check_served(name: str, features: frozenset[Feature], sampling: Sampling) -> None:
    """Refuse a way of choosing tokens that an engine cannot serve.

    Raises:
        ConfigError: It cannot.
    """
    asked: dict[Feature, tuple[bool, str, str]] = {
        "sampling": (sampling.temperature > 0, f"draw tokens (temperature {sampling.temperature:g})", "temperature 0"),
        "guidance": (sampling.guidance != 1, f"guide drafts (guidance {sampling.guidance:g})", "guidance 1"),
    }
    for feature, (wanted, words, instead) in asked.items():
        if wanted and feature not in features:
            raise ConfigError(
                f"The engine '{name}' cannot {words}. Ask for {instead}, or draft with the checkpoint that was "
                "exported."
            )
