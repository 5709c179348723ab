"""Drafts that are written together while others come and go, and told word by word.

Where the engine lets prompts join (continuous batching: Yu et al. 2022, "iteration-level scheduling"), a new request is
read at once and written beside those under way. An engine that cannot takes the next ones together when it is free.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.errors import ConfigError
from radlet.inference.decoding import Answer, Writing, answers_of
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling, SteppingEngine, check_served

_UNFINISHED = "\ufffd"
"""What a tokenizer gives for a character of which some bytes are still to come."""


@dataclass(frozen=True)
class Prepared:
    """A request, ready to be admitted to streams of the drafter that prepared it.

    Attributes:
        prompt: Token ids, image tokens expanded.
        blind: Those of the prompt without films, where the model is guided.
        pixel_values: Its films, (films, 3, S, S), or None.
        sampling: How its tokens are chosen.
        whole: Its text is told at its end alone, which saves turning its tokens into words at every step.
    """

    prompt: list[int]
    blind: list[int] | None
    pixel_values: torch.Tensor | None
    sampling: Sampling
    whole: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is asked of a stream.

    Attributes:
        request: What the draft is to be written from.
        sampling: How.
        films: The request's films, (H, W) uint8 each, where they have been read already.
        whole: See `Prepared`.
    """

    request: DraftRequest
    sampling: Sampling
    films: tuple[NDArray[np.uint8], ...] | None = None
    whole: bool = False


def prepare(drafter: Drafter, wanted: Wanted) -> Prepared:
    """Read the films and render the prompts of a request; any thread may.

    Raises:
        ConfigError: The engine cannot choose tokens in this way, other guidance than the checkpoint's is asked for, or
            prompt and answer are longer than the model can read.
        DataError: A film cannot be read.
    """
    request, sampling = wanted.request, wanted.sampling
    check_served(drafter.engine_name, drafter.engine.features, sampling)
    own = drafter.card.guidance
    if sampling.guidance != own:
        raise ConfigError(f"Drafts that are written together have the checkpoint's guidance, {own:g}.")
    prompt = drafter.prompt_ids(request)
    sampling = _fitting(drafter, len(prompt), sampling)
    blind = drafter.prompt_ids(request.without_films()) if own != 1 else None
    films = drafter.pixel_values([request]) if wanted.films is None else drafter.shown(wanted.films)
    return Prepared(prompt, blind, films, sampling, wanted.whole)


def _fitting(drafter: Drafter, num_prompt_tokens: int, sampling: Sampling) -> Sampling:
    """Return the sampling, its length cut to the model's where it is no longer than the checkpoint's own."""
    longest = drafter.max_positions
    if longest is None or num_prompt_tokens + sampling.max_new_tokens <= longest:
        return sampling
    room = longest - num_prompt_tokens
    if room < 1:
        raise ConfigError(
            f"What is asked has {num_prompt_tokens} tokens; the model reads {longest}, its answer included. Ask in "
            "fewer words."
        )
    if sampling.max_new_tokens > drafter.card.max_new_tokens:
        raise ConfigError(
            f"An answer of {sampling.max_new_tokens} tokens behind {num_prompt_tokens} of the prompt is longer than "
            f"the model can write: {longest} together. Ask for at most {room}."
        )
    return sampling.model_copy(update={"max_new_tokens": room})


@dataclass(frozen=True)
class Piece:
    """What one step added to a draft.

    Attributes:
        key: The caller's name for the draft.
        text: New text; may be empty.
        num_tokens: Tokens written so far.
        ended: Why nothing more will come: the model stopped, or the draft has its full length.
    """

    key: Hashable
    text: str
    num_tokens: int
    ended: Literal["stop", "length"] | None


class DraftStream:
    """Write drafts beside each other. Not for several threads at once.

    Args:
        drafter: The model.
        max_rows: Drafts under way at once.
    """

    def __init__(self, drafter: Drafter, max_rows: int) -> None:
        self._drafter, self._max_rows = drafter, max_rows
        self._engine = cast("SteppingEngine", drafter.engine)
        self._steps = "steps" in drafter.engine.features
        self._writing = Writing(self._engine.ends) if self._steps else Writing(())
        self._told: dict[Hashable, str | None] = {}
        """What was told of each draft; None where it is told at its end alone."""
        self._whole: list[Piece] = []

    def __len__(self) -> int:
        return len(self._writing) + len(self._whole)

    @property
    def room(self) -> int:
        """How many drafts may be admitted now."""
        if len(self) and not (self._steps and self._engine.joins):
            return 0
        return max(self._max_rows - len(self), 0)

    @torch.inference_mode()
    def admit(self, requests: Mapping[Hashable, Prepared]) -> None:
        """Read some requests' prompts; the next `step` writes their first words."""
        if not self._steps:
            for together in _alike(requests):
                answers = self._engine.generate(*_joined(together))
                self._whole += [
                    self._piece_of_whole(key, ids, one.sampling)
                    for (key, one), ids in zip(together.items(), answers, strict=True)
                ]
            return
        reader = self._engine.reader(*_joined(requests))
        logits = reader.read()
        # Seeds are the request's own: what is drawn for it does not depend on its company.
        written = [answers_of([key], one.sampling, logits.device)[0] for key, one in requests.items()]
        self._writing.join(reader, logits, written)
        self._told.update({key: None if one.whole else "" for key, one in requests.items()})

    @torch.inference_mode()
    def step(self) -> list[Piece]:
        """Write one token of every draft and return what came of it."""
        whole, self._whole = self._whole, []
        return whole + [self._piece(answer) for answer in self._writing.step()]

    @torch.inference_mode()
    def drop(self, keys: Sequence[Hashable]) -> None:
        """Give drafts up."""
        self._writing.drop(keys)
        self._whole = [piece for piece in self._whole if piece.key not in keys]
        for key in keys:
            self._told.pop(key, None)

    def _piece(self, answer: Answer) -> Piece:
        told = self._told[answer.key]
        if told is None and not answer.ended:
            return Piece(answer.key, "", len(answer.tokens), None)
        told = told or ""
        text = self._drafter.text_of(answer.tokens)
        if not answer.ended:
            text = text.rstrip(_UNFINISHED).rstrip()
        # A tokenizer may yet change its last word; what was told stands.
        new = text[len(told) :] if text.startswith(told) else ""
        ended: Literal["stop", "length"] | None = None
        if not answer.ended:
            self._told[answer.key] = told + new
        else:
            del self._told[answer.key]
            ended = "length" if len(answer.tokens) == answer.sampling.max_new_tokens else "stop"
        return Piece(answer.key, new, len(answer.tokens), ended)

    def _piece_of_whole(self, key: Hashable, ids: Sequence[int], sampling: Sampling) -> Piece:
        ids = ids[: sampling.max_new_tokens]
        ended: Literal["stop", "length"] = "length" if len(ids) == sampling.max_new_tokens else "stop"
        return Piece(key, self._drafter.text_of(ids), len(ids), ended)


def _alike(requests: Mapping[Hashable, Prepared]) -> list[dict[Hashable, Prepared]]:
    """Return the requests by how their tokens are chosen: an engine that writes whole answers does so in one way."""
    groups: dict[Sampling, dict[Hashable, Prepared]] = {}
    for key, one in requests.items():
        groups.setdefault(one.sampling.model_copy(update={"max_new_tokens": 1}), {})[key] = one
    return list(groups.values())


def _joined(
    requests: Mapping[Hashable, Prepared],
) -> tuple[list[list[int]], list[list[int]] | None, torch.Tensor | None, Sampling]:
    """Return prompts, prompts without films, films, and the sampling of the longest."""
    given = list(requests.values())
    films = [one.pixel_values for one in given if one.pixel_values is not None]
    longest = max((one.sampling for one in given), key=lambda sampling: sampling.max_new_tokens)
    blind = [one.blind for one in given if one.blind is not None] or None
    return [one.prompt for one in given], blind, torch.cat(films) if films else None, longest
