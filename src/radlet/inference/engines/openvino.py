"""The OpenVINO engine: the whole report model on a CPU, its weights in 8 or 4 bits."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.errors import CheckpointError
from radlet.inference.decoding import Guided, Reader, write
from radlet.inference.engines.base import Feature, Sampling
from radlet.inference.exporters.openvino import FILM_ENCODER, LANGUAGE_MODEL
from radlet.inference.exports import ExportedModel
from radlet.inference.openvino.runtime import import_openvino

Ids = NDArray[np.int64]


class OpenVinoEngine:
    """Generate with OpenVINO."""

    features: ClassVar[frozenset[Feature]] = frozenset({"sampling", "guidance", "steps"})
    joins: ClassVar[bool] = False
    """Its memory could take in others: they would be read one by one, and all keys and values copied each time."""

    def __init__(self, language_model: Any, film_encoder: Any, exported: ExportedModel) -> None:
        self._language_model, self._film_encoder = language_model, film_encoder
        self._image, self.ends = exported.image_token_id, exported.export.end_token_ids

    @classmethod
    def load(cls, exported: ExportedModel) -> Self:
        """Open the engine's files.

        Raises:
            CheckpointError: They cannot be read.
            ConfigError: OpenVINO is not installed.
        """
        core = import_openvino().Core()
        exact = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
        }
        try:
            parts = [
                core.compile_model(exported.folder / name, "CPU", exact) for name in (LANGUAGE_MODEL, FILM_ENCODER)
            ]
        except RuntimeError:
            raise CheckpointError(
                f"{exported.folder}: OpenVINO cannot read the files. Export the checkpoint again."
            ) from None
        return cls(parts[0], parts[1], exported)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt, up to and without the end token."""
        return write(self.reader(prompts, blind_prompts, pixel_values, sampling), sampling, self.ends)

    def reader(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> Reader:
        """Return what reads the prompts."""
        seeing = self._reader(prompts, pixel_values)
        if blind_prompts is None:
            return seeing
        return Guided(seeing, self._reader(blind_prompts, None), sampling.guidance)

    def _reader(self, prompts: Sequence[Sequence[int]], pixel_values: torch.Tensor | None) -> "_Reader":
        films = None
        if pixel_values is not None:
            seen = self._film_encoder(pixel_values.numpy())[0]
            films = np.ascontiguousarray(seen.reshape(-1, seen.shape[-1]))
        return _Reader(self._language_model, prompts, films, self._image)


class _Reader:
    """The language model with its memory of one batch, padded on the left.

    Args:
        language_model: Compiled.
        prompts: Token ids, image tokens expanded.
        films: Tokens of all films in order, (F, D), or None.
        image: The image token.
    """

    def __init__(
        self, language_model: Any, prompts: Sequence[Sequence[int]], films: NDArray[np.float32] | None, image: int
    ) -> None:
        self._request = language_model.create_infer_request()
        width = language_model.input("film_tokens").get_partial_shape()[1].get_length()
        self._nothing = np.zeros((1, width), np.float32)
        self._films = self._nothing if films is None else films
        longest = max(map(len, prompts))
        self._ids: Ids = np.zeros((len(prompts), longest), np.int64)
        self._mask: Ids = np.zeros((len(prompts), longest), np.int64)
        for row, prompt in enumerate(prompts):
            self._ids[row, longest - len(prompt) :] = prompt
            self._mask[row, longest - len(prompt) :] = 1
        # Ids beyond the vocabulary are those of the films' tokens, counted through the batch.
        words = language_model.output("logits").get_partial_shape()[1].get_length()
        shown = (self._ids == image) & (self._mask > 0)
        self._ids[shown] = words + np.arange(shown.sum())
        self._rows: Ids = np.arange(len(prompts))

    def read(self) -> torch.Tensor:
        """Read the prompts; return the logits (B, V) of what follows each."""
        positions = np.maximum(self._mask.cumsum(-1) - 1, 0)
        self._next = positions[:, -1:] + 1
        return self._infer(self._ids, self._films, positions)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token of each row, (B,); return the logits (B, V) of what follows."""
        self._mask = np.concatenate([self._mask, np.ones_like(self._next)], axis=1)
        logits = self._infer(tokens.numpy()[:, None], self._nothing, self._next)
        self._next = self._next + 1
        return logits

    def keep(self, rows: torch.Tensor) -> None:
        """Forget every row but these, at the next step."""
        self._rows = self._rows[rows.numpy()]
        self._mask, self._next = self._mask[rows.numpy()], self._next[rows.numpy()]

    def _infer(self, ids: Ids, films: NDArray[np.float32], positions: Ids) -> torch.Tensor:
        inputs = {
            "input_ids": ids,
            "film_tokens": films,
            "attention_mask": self._mask,
            "position_ids": positions,
            "beam_idx": self._rows,
        }
        logits = self._request.infer(inputs, share_inputs=True, share_outputs=True)["logits"]
        self._rows = np.arange(len(ids))
        return torch.from_numpy(np.array(logits))
