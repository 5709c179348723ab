"""How engines that give logits write: one loop over a batch, which drops the rows that have ended.

An engine brings a `Reader`, its language model with a memory; the choice of tokens, guidance and the end of an answer
are the same for all of them. `write` finishes a batch; `Writing` goes token by token, and where the reader can take
others in, rows join while the rest are under way.
"""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

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


class JoiningReader(Reader, Protocol):
    """A reader that takes in the rows of others of its kind."""

    def join(self, other: Self) -> None:
        """Go on with the rows of `other`, which has read its prompts, behind one's own."""
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

    def join(self, other: Self) -> None:
        """Take in the rows of another pair with the same guidance; both readers of either must be joining ones."""
        for own, joined in ((self._seeing, other._seeing), (self._blind, other._blind)):
            own.join(joined)  # type: ignore[attr-defined]

    def _mix(self, seeing: torch.Tensor, blind: torch.Tensor) -> torch.Tensor:
        without = blind.float().log_softmax(-1)
        return without + self._guidance * (seeing.float().log_softmax(-1) - without)


@dataclass
class Answer:
    """One answer that is being written.

    Attributes:
        key: The caller's name for it.
        sampling: How its tokens are chosen.
        draws: Where its random numbers come from.
        tokens: Those written so far, without the end token.
        ended: Nothing more will come.
    """

    key: Hashable
    sampling: Sampling
    draws: torch.Generator
    tokens: list[int] = field(default_factory=list)
    ended: bool = False


class Writing:
    """Answers that are written together, a token each at a time.

    Args:
        ends: Tokens at which an answer is over.
    """

    def __init__(self, ends: Collection[int]) -> None:
        self._ends = ends
        self._reader: Reader | None = None
        self._logits = torch.empty(0)
        self._going: list[Answer] = []

    def __len__(self) -> int:
        return len(self._going)

    def join(self, reader: Reader, logits: torch.Tensor, answers: Sequence[Answer]) -> None:
        """Write further answers beside those under way.

        Args:
            reader: Has read its prompts; a `JoiningReader`, unless no answer is under way.
            logits: What it returned, (B, V).
            answers: One for each of its rows.
        """
        if self._reader is None:
            self._reader, self._logits = reader, logits
        else:
            self._reader.join(reader)  # type: ignore[attr-defined]
            self._logits = torch.cat([self._logits, logits])
        self._going += answers

    def step(self) -> list[Answer]:
        """Write one token of every answer; return them all, those that have ended for the last time."""
        if self._reader is None:
            return []
        written = self._going
        ids = _choose(self._logits, self._going)
        for answer, token in zip(written, ids.tolist(), strict=True):
            if token in self._ends:
                answer.ended = True
            else:
                answer.tokens.append(token)
                answer.ended = len(answer.tokens) == answer.sampling.max_new_tokens
        # The rest of the batch need not wait for, nor pay for, those that have ended.
        kept = self._keep([place for place, answer in enumerate(written) if not answer.ended])
        if self._reader is not None:
            self._logits = self._reader.step(ids if kept is None else ids[kept])
        return written

    def drop(self, keys: Collection[Hashable]) -> None:
        """Give up the answers of these names."""
        kept = self._keep([place for place, answer in enumerate(self._going) if answer.key not in keys])
        if kept is not None and self._reader is not None:
            self._logits = self._logits[kept]

    def _keep(self, places: list[int]) -> torch.Tensor | None:
        """Forget every row but these; return them, or None where they are all there are."""
        if len(places) == len(self._going):
            return None
        self._going = [self._going[place] for place in places]
        kept = torch.tensor(places, device=self._logits.device, dtype=torch.long)
        if not places:
            self._reader = None
        if self._reader is not None:
            self._reader.keep(kept)
        return kept


def answers_of(keys: Sequence[Hashable], sampling: Sampling, device: torch.device) -> list[Answer]:
    """Return answers to be written with the same sampling; each row draws numbers of its own."""
    return [
        Answer(key, sampling, torch.Generator(device).manual_seed(sampling.seed * _ROWS + row))
        for row, key in enumerate(keys)
    ]


def write(reader: Reader, sampling: Sampling, ends: Collection[int]) -> list[list[int]]:
    """Return the new token ids of each row, up to and without the end token.

    Args:
        reader: Has not read yet.
        sampling: How tokens are chosen; `guidance` is the reader's.
        ends: Tokens at which an answer is over.
    """
    writing = Writing(ends)
    logits = reader.read()
    answers = answers_of(range(len(logits)), sampling, logits.device)
    writing.join(reader, logits, answers)
    while len(writing):
        writing.step()
    return [answer.tokens for answer in answers]


def _choose(logits: torch.Tensor, answers: Sequence[Answer]) -> torch.Tensor:
    """Return the next token (B,) of each row."""
    chosen = _likeliest(logits)
    for row, answer in enumerate(answers):
        if answer.sampling.temperature:
            chosen[row] = _drawn(logits[row], answer)
    return chosen


def _likeliest(logits: torch.Tensor) -> torch.Tensor:
    if logits.device.type == "cpu" and logits.dtype == torch.float32:
        # torch takes longer for it than a small model for a tenth of a token.
        return torch.from_numpy(logits.numpy().argmax(-1))
    return logits.argmax(-1)


def _drawn(logits: torch.Tensor, answer: Answer) -> torch.Tensor:
    """Draw a token from the logits (V,) of one row."""
    sampling = answer.sampling
    shares = (logits.float() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        ordered, order = shares.sort(-1, descending=True)
        # A token stays while those before it have not reached the share; so the first always does.
        ordered[ordered.cumsum(-1) - ordered >= sampling.top_p] = 0
        shares = torch.zeros_like(shares).scatter_(-1, order, ordered)
    return torch.multinomial(shares, 1, generator=answer.draws)[0]
