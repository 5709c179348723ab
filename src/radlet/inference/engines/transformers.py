"""The reference engine: the model as transformers has it, batched with left padding, under radlet's own loop.

transformers' `generate` writes the same greedy text. The loop spends less beside the model at every token, drops the
rows that have ended, and guides whole batches from a cache: `docs/engines.md` has the figures.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from radlet.inference.decoding import Guided, Reader, write
from radlet.inference.engines.base import Feature, Sampling
from radlet.inference.likelihoods import Continuation, continuation_log_likelihoods
from radlet.inference.roomy_cache import can_join, join_caches, roomy_cache
from radlet.models.report_model import ReportModel


class TransformersEngine:
    """Generate with transformers."""

    features: ClassVar[frozenset[Feature]] = frozenset({"sampling", "guidance", "log_likelihoods", "steps"})

    def __init__(self, report_model: ReportModel) -> None:
        self._report_model = report_model
        self.ends = report_model.end_token_ids

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt; the answer does not depend on its neighbours in the batch."""
        return write(self.reader(prompts, blind_prompts, pixel_values, sampling), sampling, self.ends)

    def reader(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> Reader:
        """Return what reads the prompts."""
        seeing = _TorchReader(self._report_model, prompts, pixel_values, sampling.max_new_tokens)
        if blind_prompts is None:
            return seeing
        blind = _TorchReader(self._report_model, blind_prompts, None, sampling.max_new_tokens)
        return Guided(seeing, blind, sampling.guidance)

    @property
    def joins(self) -> bool:
        """Whether readers of this model take in the rows of others."""
        return can_join(roomy_cache(self._report_model.model.config.get_text_config(), 1))

    def log_likelihoods(
        self,
        prompts: Sequence[list[int]],
        pixel_values: torch.Tensor | None,
        continuations: Sequence[Continuation],
    ) -> list[float]:
        """Return the sum of the log-probabilities of each text's tokens."""
        return continuation_log_likelihoods(self._report_model, prompts, pixel_values, continuations)


class _TorchReader:
    """The model with its memory of one batch.

    Padding stands on the left, so that every answer follows its prompt directly; positions count from the first real
    token.
    """

    def __init__(
        self,
        report_model: ReportModel,
        prompts: Sequence[Sequence[int]],
        pixel_values: torch.Tensor | None,
        max_new_tokens: int,
    ) -> None:
        self._model, self._architecture = report_model.model, report_model.architecture
        self._ids, prompt_mask = self._pad_left(prompts, int(report_model.tokenizer.pad_token_id))
        self._films = pixel_values
        self._length = self._ids.shape[1]
        # The mask of the longest answer, of which each step sees the beginning: nothing is joined on the way.
        self._mask = F.pad(prompt_mask, (0, max_new_tokens), value=1)
        self._cache = roomy_cache(self._model.config.get_text_config(), self._length + max_new_tokens)

    def read(self) -> torch.Tensor:
        """Read the prompts; return the logits (B, V) of what follows each."""
        ids, mask, architecture = self._ids, self._mask[:, : self._length], self._architecture
        films = {} if self._films is None else architecture.film_inputs(self._model, self._films.to(ids.device))
        positions, self._next = architecture.positions(self._model, ids, mask, films)
        inputs = films | architecture.text_inputs(self._model, ids)
        return self._forward(ids, mask, positions, **inputs)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token of each row, (B,); return the logits (B, V) of what follows."""
        self._length += 1
        logits = self._forward(tokens[:, None], self._mask[:, : self._length], self._next[:, None])
        self._next = self._next + 1
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        """Forget every row but these."""
        self._cache.batch_select_indices(rows)
        self._mask, self._next = self._mask[rows], self._next[rows]

    def join(self, other: "_TorchReader") -> None:
        """Take in the rows of another reader of this model, padded on the left to one length.

        What stands before the first token of every row, where earlier rows have been, is let go.
        """
        length = max(self._length, other._length)
        masks = [F.pad(one._mask[:, : one._length], (length - one._length, 0)) for one in (self, other)]
        mask = torch.cat(masks)
        spare = int(mask.any(0).int().argmax())
        ahead = max(one._mask.shape[1] - one._length for one in (self, other))
        self._length = length - spare
        self._mask = F.pad(mask[:, spare:], (0, ahead), value=1)
        self._next = torch.cat([self._next, other._next])
        join_caches(self._cache, other._cache, spare, self._length + ahead)

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, **inputs: torch.Tensor
    ) -> torch.Tensor:
        outputs = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **inputs,
        )
        logits: torch.Tensor = outputs.logits[:, -1]
        return logits

    def _pad_left(self, prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), longest), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, longest - len(prompt) :] = 1
        return ids.to(self._model.device), mask.to(self._model.device)
