"""How engines that give logits write: one loop over a batch, which drops the rows that have ended.

An engine brings a `Reader`, its language model with a memory; the choice of tokens, guidance and the end of an answer
are the same for all of them.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import torch

from radlet.inference.engines.base import Sampling

_ROWS = 1_000_003
"""Keeps the seeds of a batch's rows apart; a prime, so that no small seed meets another's rows."""


class Reader(Protocol):
    """A language model that has read a batch of prompts and reads on, a token a row at a time."""

    def read(self) -> torch.Tensor:
        """Read the prompts; return the logits (B, V) of what follows each."""
        ...

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token of each row, (B,); return the logits (B, V) of what follows."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Forget every row but these, (K,) positions in the present batch in rising order."""
        ...


class Guided:
    """Two readers as one: the log-probabilities move from those without films past those with them.

    Classifier-free guidance, Sanchez et al. 2023, equation 7.

    Args:
        seeing: Reads the prompts with films.
        blind: Reads the same prompts without.
        guidance: How far past; 1 leaves the seeing reader's alone.
    """

    def __init__(self, seeing: Reader, blind: Reader, guidance: float) -> None:
        self._seeing, self._blind, self._guidance = seeing, blind, guidance

    def read(self) -> torch.Tensor:
        """Read both prompts of every row."""
        return self._mix(self._seeing.read(), self._blind.read())

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read the token after both."""
        return self._mix(self._seeing.step(tokens), self._blind.step(tokens))

    def keep(self, rows: torch.Tensor) -> None:
        """Forget the other rows in both."""
        self._seeing.keep(rows)
        self._blind.keep(rows)

    def _mix(self, seeing: torch.Tensor, blind: torch.Tensor) -> torch.Tensor:
        without = blind.float().log_softmax(-1)
        return without + self._guidance * (seeing.float().log_softmax(-1) - without)


def write(reader: Reader, sampling: Sampling, ends: Collection[int]) -> list[list[int]]:
    """Return the new token ids of each row, up to and without the end token.

    Args:
        reader: Has not read yet.
        sampling: How tokens are chosen; `guidance` is the reader's.
        ends: Tokens at which an answer is over.
    """
    logits = reader.read()
    answers: list[list[int]] = [[] for _ in range(len(logits))]
    going = list(range(len(logits)))
    draws = [torch.Generator(logits.device).manual_seed(sampling.seed * _ROWS + row) for row in going]
    for length in range(1, sampling.max_new_tokens + 1):
        tokens = _choose(logits, sampling, [draws[row] for row in going])
        ids = tokens.tolist()
        alive = [place for place, token in enumerate(ids) if token not in ends]
        for place in alive:
            answers[going[place]].append(ids[place])
        if not alive or length == sampling.max_new_tokens:
            break
        if len(alive) < len(going):
            # The rest of the batch need not wait for, nor pay for, those that have ended.
            kept = torch.tensor(alive, device=tokens.device)
            reader.keep(kept)
            tokens, going = tokens[kept], [going[place] for place in alive]
        logits = reader.step(tokens)
    return answers


def _choose(logits: torch.Tensor, sampling: Sampling, draws: Sequence[torch.Generator]) -> torch.Tensor:
    """Return the next token (B,) of each row."""
    if not sampling.temperature:
        if logits.device.type == "cpu" and logits.dtype == torch.float32:
            # torch takes longer for it than a small model for a tenth of a token.
            return torch.from_numpy(logits.numpy().argmax(-1))
        return logits.argmax(-1)
    shares = (logits.float() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ordered, order = shares.sort(-1, descending=True)
        # A token stays while those before it have not reached the share; so the first always does.
        ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
        shares = torch.zeros_like(shares).scatter_(-1, order, ordered)
    drawn = [torch.multinomial(row, 1, generator=draw) for row, draw in zip(shares, draws, strict=True)]
    return torch.cat(drawn)
