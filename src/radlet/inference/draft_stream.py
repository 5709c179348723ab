"""Drafts that are written together while others come and go, and told word by word.

Where the engine lets prompts join (continuous batching: Yu et al. 2022, "iteration-level scheduling"), a new request is
read at once and written beside those under way. An engine that cannot takes the next ones together when it is free.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch

from radlet.core.errors import ConfigError
from radlet.inference.decoding import Answer, Writing, answers_of
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling, SteppingEngine, check_served

_UNFINISHED = "\ufffd"
"""What a tokenizer gives for a character of which some bytes are still to come."""


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
        self._told: dict[Hashable, str] = {}
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
    def admit(self, requests: Mapping[Hashable, tuple[DraftRequest, Sampling]]) -> None:
        """Read some requests; the next `step` writes their first words.

        Raises:
            ConfigError: The engine cannot choose tokens in this way, or the request asks for other guidance than the
                checkpoint's.
            DataError: A film cannot be read; none of the requests is admitted.
        """
        for _, sampling in requests.values():
            self._check(sampling)
        asked = [request for request, _ in requests.values()]
        samplings = [sampling for _, sampling in requests.values()]
        prompts = [self._drafter.prompt_ids(request) for request in asked]
        pixel_values = self._drafter.pixel_values(asked)
        longest = samplings[0].model_copy(update={"max_new_tokens": max(one.max_new_tokens for one in samplings)})
        blind = None
        if longest.guidance != 1:
            blind = [self._drafter.prompt_ids(request.without_films()) for request in asked]
        if not self._steps:
            answers = self._engine.generate(prompts, blind, pixel_values, longest)
            self._whole += [
                self._piece_of_whole(key, ids, sampling)
                for key, ids, sampling in zip(requests, answers, samplings, strict=True)
            ]
            return
        reader = self._engine.reader(prompts, blind, pixel_values, longest)
        logits = reader.read()
        # Seeds are the request's own: what is drawn for it does not depend on its company.
        written = [
            answers_of([key], sampling, logits.device)[0] for key, sampling in zip(requests, samplings, strict=True)
        ]
        self._writing.join(reader, logits, written)
        self._told.update(dict.fromkeys(requests, ""))

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

    def _check(self, sampling: Sampling) -> None:
        check_served(self._drafter.engine_name, self._drafter.engine.features, sampling)
        own = self._drafter.card.guidance
        if sampling.guidance != own:
            raise ConfigError(f"Drafts that are written together have the checkpoint's guidance, {own:g}.")

    def _piece(self, answer: Answer) -> Piece:
        text = self._drafter.text_of(answer.tokens)
        if not answer.ended:
            text = text.rstrip(_UNFINISHED).rstrip()
        told = self._told[answer.key]
        # A tokenizer may yet change its last word; what was told stands.
        new = text[len(told) :] if text.startswith(told) else ""
        self._told[answer.key] = told + new
        ended: Literal["stop", "length"] | None = None
        if answer.ended:
            del self._told[answer.key]
            ended = "length" if len(answer.tokens) == answer.sampling.max_new_tokens else "stop"
        return Piece(answer.key, new, len(answer.tokens), ended)

    def _piece_of_whole(self, key: Hashable, ids: Sequence[int], sampling: Sampling) -> Piece:
        ids = ids[: sampling.max_new_tokens]
        ended: Literal["stop", "length"] = "length" if len(ids) == sampling.max_new_tokens else "stop"
        return Piece(key, self._drafter.text_of(ids), len(ids), ended)
