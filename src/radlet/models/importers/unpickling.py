"""Pickled weights to safetensors, in a process of its own.

A pickle can run code when it is read. PyTorch's ``weights_only`` reader refuses whatever is neither tensor nor plain
container, and the reading is done by a separate process, so that nothing of the file reaches the process that goes on.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from radlet.core.errors import CheckpointError

MAX_PART_BYTES = 1024**3
"""A part of the result is at most so large, or one tensor; no more than that is held in memory."""
_STATES = ("state_dict", "model_state_dict")
"""Under these names training checkpoints keep the weights; what stands beside them is not read on."""


@dataclass(frozen=True)
class UnpickledFile:
    """What a pickled file became.

    Attributes:
        parts: safetensors files that together hold its tensors.
        left_out: Names of everything beside the weights.
    """

    parts: tuple[Path, ...]
    left_out: tuple[str, ...]


def unpickle(source: Path, folder: Path) -> UnpickledFile:
    """Write the tensors of one pickled file as safetensors under `folder`; otherwise as `unpickle_all`."""
    return unpickle_all([source], folder)[source]


def unpickle_all(sources: Sequence[Path], folder: Path) -> dict[Path, UnpickledFile]:
    """Write the tensors of pickled files as safetensors under `folder`, through one separate process.

    Raises:
        CheckpointError: A file is missing, damaged, or holds anything but tensors and plain values.
    """
    for source in sources:
        if not source.is_file():
            raise CheckpointError(f"{source}: there is no such file. Place all files of the publication in one folder.")
    jobs = {source: folder / f"{number}-{source.stem}" for number, source in enumerate(sources)}
    if not jobs:
        return {}
    words = [str(path) for job in jobs.items() for path in job]
    command = [sys.executable, "-m", "radlet.models.importers.unpickling", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for source, answer in zip(sources, answers, strict=False):
        if "error" in answer:
            raise CheckpointError(f"{source}: {answer['error']}")
    if done.returncode or len(answers) < len(jobs):
        raise CheckpointError(
            f"{sources[len(answers) % len(sources)]}: the process that reads it ended with status {done.returncode} "
            "and no answer. It may have run out of memory; try on a machine with more."
        )
    return {
        source: UnpickledFile(tuple(jobs[source] / name for name in answer["parts"]), tuple(answer["left_out"]))
        for source, answer in zip(sources, answers, strict=True)
    }


def _convert(source: Path, folder: Path) -> dict[str, Any]:
    """Read and write; the answer for the process that asked, with `error` where the file was refused."""
    try:
        content = _load(source)
    except Exception as error:  # noqa: BLE001 - foreign bytes make the unpickler fail in many ways; each is a refusal
        return {"error": _refusal(error)}
    state, left_out = _weights(content)
    wrong = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if not state or wrong:
        what = f"'{wrong[0]}' is no tensor" if wrong else "it names none"
        return {"error": f"is no table of named tensors: {what}. Give the published file."}
    folder.mkdir(parents=True)
    names = []
    for number, part in enumerate(_parts(state)):
        names.append(f"part-{number:05}.safetensors")
        save_file({name: tensor.detach().contiguous().clone() for name, tensor in part.items()}, folder / names[-1])
    return {"parts": names, "left_out": left_out}


def _load(source: Path) -> Any:
    # Training checkpoints keep their best score as a number of numpy, which is data as a tensor is.
    with torch.serialization.safe_globals(_numpy_numbers()):
        try:
            return torch.load(source, map_location="cpu", weights_only=True, mmap=True)  # noqa: TID251
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
        return torch.load(source, map_location="cpu", weights_only=True)  # noqa: TID251 - files before torch 1.6


def _numpy_numbers() -> list[Any]:
    import numpy as np  # noqa: PLC0415 - for the names alone

    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds]


def _refusal(error: Exception) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    if found:
        return (
            f"holds {found[1]}, which is neither a tensor nor a plain value; to unpickle it could run code. Give the "
            "published file."
        )
    return f"is no file of weights, or is damaged or cut short ({type(error).__name__}). Fetch it again."


def _weights(content: Any) -> tuple[Mapping[str, Any], list[str]]:
    if not isinstance(content, Mapping):
        return {}, []
    for name in _STATES:
        if isinstance(content.get(name), Mapping):
            beside = [str(other) for other in content if other != name]
            return {str(key): value for key, value in content[name].items()}, beside
    return {str(key): value for key, value in content.items()}, []


def _parts(state: Mapping[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    part: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if part and sum(one.nbytes for one in part.values()) + tensor.nbytes > MAX_PART_BYTES:
            yield part
            part = {}
        part[name] = tensor
    yield part


if __name__ == "__main__":
    _paths = [Path(_word) for _word in sys.argv[1:]]
    for _source, _folder in zip(_paths[::2], _paths[1::2], strict=True):
        sys.stdout.write(json.dumps(_convert(_source, _folder)) + "\n")
