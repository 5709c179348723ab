"""Sequences that llama.cpp decodes together: token ids and image features in, logits out."""

import ctypes
import itertools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import CheckpointError, ConfigError
from radlet.inference.llama_cpp.library import F16, F32, Batch, library

Logits = NDArray[np.float32]
_MAX_SEQUENCES = 256
"""`LLAMA_MAX_SEQ`."""
_NO_FLASH_ATTENTION = 0
"""`LLAMA_FLASH_ATTN_TYPE_DISABLED`; the fused kernel rounds to about 1e-4 of a logit."""
_TOKENS_AT_ONCE = 512
"""Tokens that are read in one pass; longer prompts are read in parts of it."""


@dataclass(frozen=True)
class Run:
    """Tokens that follow each other in one sequence, all of them ids or all of them image features.

    Attributes:
        sequence: Number of the sequence.
        start: Position of the first.
        ids: Token ids (n,), or None.
        features: Image features (n, D), or None.
        every: Logits are wanted after each token, not after the last alone.
        last: Logits are wanted after the last token.
    """

    sequence: int
    start: int
    ids: NDArray[np.int32] | None = None
    features: NDArray[np.float32] | None = None
    every: bool = False
    last: bool = True

    def __len__(self) -> int:
        given = self.ids if self.ids is not None else self.features
        return 0 if given is None else len(given)


class Decoder:
    """A language model in a GGUF file.

    Args:
        path: The file.
        num_threads: Threads that compute.
        exact: Keep keys and values in 32 bits and round nowhere, for comparisons; slower.

    Raises:
        CheckpointError: llama.cpp cannot load the file.
    """

    def __init__(self, path: Path, num_threads: int, *, exact: bool) -> None:
        self._library = library()
        params = self._library.llama_model_default_params()
        self._model = self._library.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise CheckpointError(f"{path}: llama.cpp cannot load this file. Export the checkpoint again.")
        self._free_model = weakref.finalize(self, self._library.llama_model_free, self._model)
        self.vocab_size = int(self._library.llama_vocab_n_tokens(self._library.llama_model_get_vocab(self._model)))
        self._num_threads = num_threads
        self._exact = exact
        self._context: int | None = None
        self._free_context: weakref.finalize[..., Decoder] | None = None
        self._room = (0, 0)
        self._step: _Step | None = None

    def make_room(self, num_sequences: int, length: int) -> None:
        """Forget all sequences, and have room for so many of `length` tokens each.

        Raises:
            CheckpointError: There is not enough memory for them.
            ConfigError: They are more than llama.cpp can tell apart.
        """
        if num_sequences > _MAX_SEQUENCES:
            raise ConfigError(
                f"llama.cpp reads {_MAX_SEQUENCES} sequences at once, not {num_sequences}. Take a smaller batch_size; "
                "guided drafts are two sequences each."
            )
        if self._context is None or num_sequences > self._room[0] or length > self._room[1]:
            self._open(max(num_sequences, self._room[0]), max(-(-length // 256) * 256, self._room[1]))
        self._library.llama_memory_clear(self._library.llama_get_memory(self._context), False)

    def copy(self, sequence: int, others: Sequence[int]) -> None:
        """Let other, empty sequences begin as this one does."""
        memory = self._library.llama_get_memory(self._context)
        for other in others:
            self._library.llama_memory_seq_cp(memory, sequence, other, -1, -1)

    def read(self, runs: Sequence[Run]) -> Logits:
        """Append runs to their sequences, and return the wanted logits (R, V) in the order of the runs."""
        found = [np.zeros((0, self.vocab_size), np.float32)]
        found += [self._decode(together) for together in _parts([run for run in runs if len(run)])]
        return np.concatenate(found) if len(found) > 2 else found[-1]

    def step(self, sequences: NDArray[np.int32], positions: NDArray[np.int32], ids: NDArray[np.integer[Any]]) -> Logits:
        """Append one token (B,) to each of some sequences at its position; return the logits (B, V) of what follows.

        Does what `read` does with runs of one token, in a tenth of the time that a small model takes for a token.
        """
        step = self._step
        if step is None or len(step.ids) != len(ids):
            step = self._step = _Step(len(ids))
        step.ids[:], step.sequences[:], step.positions[:] = ids, sequences, positions
        if self._library.llama_decode(self._context, step.batch):
            raise CheckpointError(f"llama.cpp could not read {len(ids)} tokens. Take a smaller batch_size.")
        return self._logits(len(ids))

    def _logits(self, num_rows: int) -> Logits:
        """Copy the logits of the last call, for llama.cpp writes the next ones into the same place."""
        rows = np.empty((num_rows, self.vocab_size), np.float32)
        ctypes.memmove(rows.ctypes.data, self._library.llama_get_logits(self._context), rows.nbytes)
        return rows

    def _open(self, num_sequences: int, length: int) -> None:
        if self._free_context is not None:
            self._free_context()
        params = self._library.llama_context_default_params()
        params.n_ctx, params.n_seq_max = num_sequences * length, num_sequences
        params.n_batch = params.n_ubatch = max(_TOKENS_AT_ONCE, num_sequences)
        params.n_outputs_max_per_seq = 0
        params.n_threads = params.n_threads_batch = self._num_threads
        params.type_k = params.type_v = F32 if self._exact else F16
        if self._exact:
            params.flash_attn_type = _NO_FLASH_ATTENTION
        self._context = self._library.llama_init_from_model(self._model, params)
        if not self._context:
            raise CheckpointError(
                f"llama.cpp has no room for {num_sequences} sequences of {length} tokens. Take a smaller batch_size."
            )
        self._free_context = weakref.finalize(self, self._library.llama_free, self._context)
        self._free_context.atexit = self._free_model.atexit = False
        self._room = (num_sequences, length)

    def _decode(self, runs: Sequence[Run]) -> Logits:
        lengths = [len(run) for run in runs]
        total = sum(lengths)
        positions = np.concatenate([np.arange(run.start, run.start + len(run), dtype=np.int32) for run in runs])
        sequences = np.repeat(np.array([run.sequence for run in runs], np.int32), lengths)
        wanted = np.concatenate([_wanted(run) for run in runs])
        addresses = sequences.ctypes.data + sequences.itemsize * np.arange(total, dtype=np.uintp)
        ones = np.ones(total, np.int32)
        batch = Batch(n_tokens=total)
        batch.pos, batch.n_seq_id = _pointer(positions, ctypes.c_int32), _pointer(ones, ctypes.c_int32)
        batch.seq_id, batch.logits = _pointer(addresses, ctypes.c_void_p), _pointer(wanted, ctypes.c_int8)
        if runs[0].ids is not None:
            ids = np.concatenate([run.ids for run in runs if run.ids is not None], dtype=np.int32)
            batch.token = _pointer(ids, ctypes.c_int32)
        else:
            features = np.concatenate([run.features for run in runs if run.features is not None], dtype=np.float32)
            batch.embd = _pointer(features, ctypes.c_float)
        if self._library.llama_decode(self._context, batch):
            raise CheckpointError(f"llama.cpp could not read {total} tokens. Take a smaller batch_size.")
        num_wanted = int(wanted.sum())
        if not num_wanted:
            return np.zeros((0, self.vocab_size), np.float32)
        return self._logits(num_wanted)


class _Step:
    """Memory of a batch of one token for each of some sequences, which llama.cpp is given again and again."""

    def __init__(self, num_rows: int) -> None:
        self.ids, self.positions, self.sequences = (np.zeros(num_rows, np.int32) for _ in range(3))
        self._ones, self._wanted = np.ones(num_rows, np.int32), np.ones(num_rows, np.int8)
        starts = np.arange(num_rows, dtype=np.uintp)
        self._addresses = self.sequences.ctypes.data + self.sequences.itemsize * starts
        self.batch = Batch(
            n_tokens=num_rows,
            token=_pointer(self.ids, ctypes.c_int32),
            pos=_pointer(self.positions, ctypes.c_int32),
            n_seq_id=_pointer(self._ones, ctypes.c_int32),
            seq_id=_pointer(self._addresses, ctypes.c_void_p),
            logits=_pointer(self._wanted, ctypes.c_int8),
        )


def _wanted(run: Run) -> NDArray[np.int8]:
    wanted = np.full(len(run), run.every, np.int8)
    wanted[-1] = run.every or run.last
    return wanted


def _pointer(array: NDArray[np.generic], kind: type) -> "ctypes._Pointer[ctypes.c_int32]":
    return array.ctypes.data_as(ctypes.POINTER(kind))


def _parts(runs: Sequence[Run]) -> list[list[Run]]:
    """Put runs together to what one call may read, cutting long ones; ids and features go in calls of their own."""
    pieces = [piece for run in runs for piece in _cut(run)]
    parts: list[list[Run]] = []
    for piece in pieces:
        fits = parts and (parts[-1][0].ids is None) == (piece.ids is None)
        if fits and sum(map(len, parts[-1])) + len(piece) <= _TOKENS_AT_ONCE:
            parts[-1].append(piece)
        else:
            parts.append([piece])
    return parts


def _cut(run: Run) -> list[Run]:
    starts = range(0, len(run), _TOKENS_AT_ONCE)
    return [
        Run(
            run.sequence,
            run.start + start,
            None if run.ids is None else run.ids[start : start + _TOKENS_AT_ONCE],
            None if run.features is None else run.features[start : start + _TOKENS_AT_ONCE],
            run.every,
            run.last and start + _TOKENS_AT_ONCE >= len(run),
        )
        for start in starts
    ]


def prompt_runs(
    prompts: Sequence[Sequence[int]], image_token: int, features: NDArray[np.float32] | None, first: int = 0
) -> list[list[Run]]:
    """Split prompts into rounds of runs, the first run of every prompt first; only a prompt's last run wants logits.

    Args:
        prompts: Token ids, image tokens expanded.
        image_token: Id whose places the features take.
        features: All image features in the order of the prompts, (tokens, D); None when there are none.
        first: Number of the first prompt's sequence; the others follow.
    """
    rounds: list[list[Run]] = []
    used = 0
    for sequence, prompt in enumerate(prompts, first):
        groups = [(shown, list(ids)) for shown, ids in itertools.groupby(prompt, key=image_token.__eq__)]
        start = 0
        for number, (shown, ids) in enumerate(groups):
            last = number + 1 == len(groups)
            if shown and features is not None:
                run = Run(sequence, start, features=features[used : used + len(ids)], last=last)
                used += len(ids)
            else:
                run = Run(sequence, start, np.array(ids, np.int32), last=last)
            if number == len(rounds):
                rounds.append([])
            rounds[number].append(run)
            start += len(ids)
    return rounds
