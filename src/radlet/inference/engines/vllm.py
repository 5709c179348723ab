"""The vLLM engine: a vLLM server on this machine writes, from embeddings that are made here.

The server has an environment of its own and is started by the export's ``serve.sh``. It is given token and film
embeddings over loopback, so every encoder can be served, whatever vLLM knows of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError, safe_open

from radlet.core.errors import CheckpointError
from radlet.inference.engines.base import Feature, Sampling
from radlet.inference.exporters.vllm import ENCODER, MODEL, NAME, VllmExport
from radlet.inference.exports import ExportedModel
from radlet.llm.completions import complete
from radlet.llm.endpoint import ServerConfig
from radlet.models.film_encoder import FilmEncoder, load_film_encoder
from radlet.models.tokenizers import IMAGE_TOKEN

_TABLES = ("model.embed_tokens.weight", "transformer.wte.weight")
"""Names of the token embeddings in the checkpoints of transformers' language models."""


class VllmEngine:
    """Generate with a vLLM server.

    Args:
        server: Where it is.
        encoder: Encoder and projector.
        table: Token embeddings (V, D), in the server's numbers.
        exported: Whose tokenizer tells the image token and the end.
    """

    features: ClassVar[frozenset[Feature]] = frozenset({"sampling"})

    def __init__(
        self, server: ServerConfig, encoder: FilmEncoder, table: torch.Tensor, exported: ExportedModel
    ) -> None:
        self._server, self._encoder, self._table = server, encoder, table
        self._image = int(exported.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
        self._end = int(exported.tokenizer.eos_token_id)

    @classmethod
    def load(cls, exported: ExportedModel) -> Self:
        """Open the engine's files; the server is asked for nothing yet.

        Raises:
            CheckpointError: They cannot be read.
        """
        options = VllmExport.model_validate(exported.export.options)
        encoder = load_film_encoder(exported.folder / ENCODER)
        return cls(options.server, encoder, _embeddings(exported.folder / MODEL), exported)

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,  # noqa: ARG002 - guidance is not served
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt, up to and without the end token.

        Raises:
            RunError: The server does not answer.
        """
        films = None if pixel_values is None else self._encoder.encode(pixel_values).flatten(0, 1)
        embedded, taken = [], 0
        for prompt in prompts:
            ids = torch.tensor(prompt)
            one = self._table[ids]
            shown = ids == self._image
            if films is not None and shown.any():
                count = int(shown.sum())
                one[shown] = films[taken : taken + count].to(one.dtype)
                taken += count
            embedded.append(one)
        options = [self._options(sampling, row) for row in range(len(prompts))]
        answers = complete(self._server, NAME, embedded, options)
        return [answer[: answer.index(self._end)] if self._end in answer else answer for answer in answers]

    def _options(self, sampling: Sampling, row: int) -> dict[str, Any]:
        """Return a request's fields; rows draw from seeds of their own."""
        drawn = {"top_p": sampling.top_p, "seed": sampling.seed * 1_000_003 + row} if sampling.temperature else {}
        return {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "stop_token_ids": [self._end],
            "return_token_ids": True,
            "add_special_tokens": False,
        } | drawn


def _embeddings(folder: Path) -> torch.Tensor:
    """Return the token embeddings of a checkpoint, which may be split over several files.

    Raises:
        CheckpointError: There are none.
    """
    try:
        for path in sorted(folder.glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                held = set(file.keys()) & set(_TABLES)
                if held:
                    return file.get_tensor(held.pop())
    except (OSError, SafetensorError):
        pass
    raise CheckpointError(f"{folder}: holds no token embeddings. Export the checkpoint again.")
