"""The engine llama.cpp: the language model from a GGUF file, encoder and projector in torch."""

from collections.abc import Collection, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from radlet.inference.decoding import Guided, write
from radlet.inference.engines.base import Feature, Sampling
from radlet.inference.exports import ExportedModel
from radlet.inference.likelihoods import Continuation
from radlet.inference.llama_cpp.decoder import Decoder, Logits, Run, prompt_runs
from radlet.models.film_encoder import FilmEncoder, load_film_encoder

ENCODER = "encoder"
LANGUAGE_MODEL = "language_model.gguf"


class LlamaCppEngine:
    """Generate with llama.cpp; the projected films go in as embeddings, so that every encoder can be served.

    Args:
        encoder: Encoder and projector.
        decoder: Language model.
        image_token: Its id.
        ends: Tokens at which an answer is over.
    """

    features: ClassVar[frozenset[Feature]] = frozenset({"sampling", "guidance", "log_likelihoods"})

    def __init__(self, encoder: FilmEncoder, decoder: Decoder, image_token: int, ends: Collection[int]) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._image_token, self._ends = image_token, ends

    @classmethod
    def load(cls, exported: ExportedModel) -> Self:
        """Open the files of an export.

        Raises:
            CheckpointError: They cannot be read.
        """
        exact = exported.export.options.get("quantization") == "F32"
        decoder = Decoder(exported.folder / LANGUAGE_MODEL, torch.get_num_threads(), exact=exact)
        encoder = load_film_encoder(exported.folder / ENCODER)
        return cls(encoder, decoder, exported.image_token_id, exported.export.end_token_ids)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt, up to and without the end token."""
        read = [*prompts, *(blind_prompts or [])]
        self._decoder.make_room(len(read), max(map(len, read)) + sampling.max_new_tokens)
        seeing = self._reader(prompts, pixel_values)
        if blind_prompts is None:
            return write(seeing, sampling, self._ends)
        blind = self._reader(blind_prompts, None, first=len(prompts))
        return write(Guided(seeing, blind, sampling.guidance), sampling, self._ends)

    def log_likelihoods(
        self,
        prompts: Sequence[list[int]],
        pixel_values: torch.Tensor | None,
        continuations: Sequence[Continuation],
    ) -> list[float]:
        """Return the sum of the log-probabilities of each text's tokens; a prompt is read once for all its texts."""
        longest = max(map(len, prompts)) + max(len(one.tokens) for one in continuations)
        # The prompts come first: a text of theirs goes on in a copy.
        self._decoder.make_room(len(prompts) + len(continuations), longest)
        first = self._reader(prompts, pixel_values).read().numpy()
        for prompt in range(len(prompts)):
            rows = [row for row, one in enumerate(continuations) if one.prompt == prompt]
            self._decoder.copy(prompt, [len(prompts) + row for row in rows])
        tokens = [np.array(one.tokens, np.int32) for one in continuations]
        runs = [
            Run(len(prompts) + row, len(prompts[one.prompt]), ids[:-1], every=True)
            for row, (one, ids) in enumerate(zip(continuations, tokens, strict=True))
        ]
        rest = np.split(self._decoder.read(runs), np.cumsum([len(run) for run in runs])[:-1])
        return [
            _likelihood(np.concatenate([first[one.prompt, None], logits])[: len(ids)], ids)
            for one, ids, logits in zip(continuations, tokens, rest, strict=True)
        ]

    def _reader(
        self, prompts: Sequence[Sequence[int]], pixel_values: torch.Tensor | None, first: int = 0
    ) -> "_SequenceReader":
        films = None if pixel_values is None else self._encoder.encode(pixel_values).flatten(0, 1).float().numpy()
        lengths = [len(prompt) for prompt in prompts]
        return _SequenceReader(self._decoder, prompt_runs(prompts, self._image_token, films, first), lengths, first)


class _SequenceReader:
    """Some sequences of the decoder, which are read on together.

    Args:
        decoder: Language model with room for them.
        rounds: Runs of the prompts, the first of every prompt first.
        lengths: Tokens of each prompt.
        first: Number of the first sequence.
    """

    def __init__(self, decoder: Decoder, rounds: Sequence[Sequence[Run]], lengths: Sequence[int], first: int) -> None:
        self._decoder, self._rounds, self._first = decoder, rounds, first
        self._sequences = np.arange(first, first + len(lengths), dtype=np.int32)
        self._positions = np.array(lengths, np.int32)

    def read(self) -> torch.Tensor:
        """Read the prompts; return the logits (B, V) of what follows each."""
        logits = torch.empty(len(self._sequences), self._decoder.vocab_size)
        for runs in self._rounds:
            # Ids and features are read in calls of their own, so those of a kind stand together.
            ordered = sorted(runs, key=lambda run: run.ids is None)
            done = [run.sequence - self._first for run in ordered if run.last]
            logits[done] = torch.from_numpy(self._decoder.read(ordered))
        return logits

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one token of each row, (B,); return the logits (B, V) of what follows."""
        logits = self._decoder.step(self._sequences, self._positions, tokens.numpy())
        self._positions += 1
        return torch.from_numpy(logits)

    def keep(self, rows: torch.Tensor) -> None:
        """Forget every row but these."""
        self._sequences, self._positions = self._sequences[rows.numpy()], self._positions[rows.numpy()]


def _likelihood(logits: Logits, ids: NDArray[np.int32]) -> float:
    scores = log_softmax(logits.astype(np.float64), axis=-1)
    return float(scores[np.arange(len(ids)), ids].sum())
