"""The engine llama.cpp: the language model from a GGUF file, encoder and projector in torch."""

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from radlet.inference.choosing import Logits, choose, guide
from radlet.inference.engines.base import Feature, Sampling
from radlet.inference.exports import ExportedModel
from radlet.inference.likelihoods import Continuation
from radlet.inference.llama_cpp.decoder import Decoder, Run, prompt_runs
from radlet.models.film_encoder import FilmEncoder, load_film_encoder
from radlet.models.tokenizers import IMAGE_TOKEN

ENCODER = "encoder"
LANGUAGE_MODEL = "language_model.gguf"


class LlamaCppEngine:
    """Generate with llama.cpp; the projected films go in as embeddings, so that every encoder can be served.

    Args:
        encoder: Encoder and projector.
        decoder: Language model.
        image_token: Its id.
        end: Id of the end token.
    """

    features: ClassVar[frozenset[Feature]] = frozenset({"sampling", "guidance", "log_likelihoods"})

    def __init__(self, encoder: FilmEncoder, decoder: Decoder, image_token: int, end: int) -> None:
        self._encoder, self._decoder = encoder, decoder
        self._image_token, self._end = image_token, end

    @classmethod
    def load(cls, exported: ExportedModel) -> Self:
        """Open the files of an export.

        Raises:
            CheckpointError: They cannot be read.
        """
        exact = exported.export.options["quantization"] == "F32"
        decoder = Decoder(exported.folder / LANGUAGE_MODEL, torch.get_num_threads(), exact=exact)
        image_token = int(exported.tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
        encoder = load_film_encoder(exported.folder / ENCODER)
        return cls(encoder, decoder, image_token, int(exported.tokenizer.eos_token_id))

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
        generator = np.random.default_rng(sampling.seed)
        logits = self._read(read, pixel_values)
        answers: list[list[int]] = [[] for _ in prompts]
        going = list(range(len(prompts)))
        while True:
            if blind_prompts is not None:
                logits = guide(logits[: len(going)], logits[len(going) :], sampling.guidance)
            tokens = dict(zip(going, choose(logits, sampling, generator), strict=True))
            going = [row for row, token in tokens.items() if token != self._end]
            for row in going:
                answers[row].append(tokens[row])
            going = [row for row in going if len(answers[row]) < sampling.max_new_tokens]
            if not going:
                return answers
            sequences = [*going, *(len(prompts) + row for row in going if blind_prompts is not None)]
            starts = [len(read[sequence]) + len(answers[sequence % len(prompts)]) - 1 for sequence in sequences]
            last = [np.array([tokens[sequence % len(prompts)]], np.int32) for sequence in sequences]
            logits = self._decoder.read([Run(*step) for step in zip(sequences, starts, last, strict=True)])

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
        first = self._read(prompts, pixel_values)
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

    def _read(self, prompts: Sequence[Sequence[int]], pixel_values: torch.Tensor | None) -> Logits:
        """Return the logits (B, V) behind each prompt."""
        films = None if pixel_values is None else self._encoder.encode(pixel_values).flatten(0, 1).float().numpy()
        logits = np.empty((len(prompts), self._decoder.vocab_size), np.float32)
        for runs in prompt_runs(prompts, self._image_token, films):
            # Ids and features are read in calls of their own, so those of a kind stand together.
            ordered = sorted(runs, key=lambda run: run.ids is None)
            done = [run.sequence for run in ordered if run.last]
            logits[done] = self._decoder.read(ordered)
        return logits


def _likelihood(logits: Logits, ids: NDArray[np.int32]) -> float:
    scores = log_softmax(logits.astype(np.float64), axis=-1)
    return float(scores[np.arange(len(ids)), ids].sum())
