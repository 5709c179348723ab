"""Tensors by name out of many files, one at a time, and into shards: no more than a shard is ever in memory."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from radlet.core.errors import CheckpointError
from radlet.core.runs import write_atomically

MAX_SHARD_BYTES = 1024**3
"""A shard is at most so large, or one tensor."""
_WEIGHTS = "model.safetensors"
_FLOATS = ("F64", "F32", "F16", "BF16")


class TensorFiles:
    """Named tensors in safetensors files; headers are read at once, tensors when asked for.

    Attributes:
        shapes: Of every tensor.
        integers: Names and types of those that are no floating-point numbers, or ones of 8 bits.

    Raises:
        CheckpointError: A file cannot be read, or two hold the same name.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._file_of: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.integers: dict[str, str] = {}
        for path in paths:
            try:
                with safe_open(path, "pt") as file:
                    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                    shapes = {name: tuple(one.get_shape()) for name, one in slices.items()}
                    kinds = {name: one.get_dtype() for name, one in slices.items()}
            except (OSError, SafetensorError) as error:
                raise CheckpointError(
                    f"{path}: is no safetensors file, or is damaged or cut short ({type(error).__name__}). Fetch it "
                    "again."
                ) from None
            twice = sorted(self._file_of.keys() & shapes.keys())
            if twice:
                raise CheckpointError(f"{path}: {twice[0]} stands in {self._file_of[twice[0]].name} too.")
            self._file_of |= dict.fromkeys(shapes, path)
            self.shapes |= shapes
            self.integers |= {name: kind for name, kind in kinds.items() if kind not in _FLOATS}

    def items(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield every name and its tensor, file by file."""
        for path in dict.fromkeys(self._file_of.values()):
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    yield name, file.get_tensor(name)

    def all(self) -> dict[str, torch.Tensor]:
        """Return every tensor; for files that fit into memory."""
        return dict(self.items())


class ShardWriter:
    """Write tensors as a Hugging Face folder has them: one file, or numbered shards with an index.

    Args:
        folder: Where to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, torch.Tensor] = {}
        self._shards: list[list[str]] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.num_bytes = 0

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Take a tensor; a full shard goes to disk first.

        Raises:
            CheckpointError: Its numbers are integers, or not all finite.
        """
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            kind = "numbers that are not finite" if tensor.is_floating_point() else str(tensor.dtype)
            raise CheckpointError(
                f"{name}: holds {kind}; weights are finite floating-point numbers. Fetch its file again, or give "
                "weights that are not quantised."
            )
        if self._held and sum(held.nbytes for held in self._held.values()) + tensor.nbytes > MAX_SHARD_BYTES:
            self._flush()
        self._held[name] = tensor.contiguous()
        self.shapes[name] = tuple(tensor.shape)
        self.num_bytes += tensor.nbytes

    def close(self) -> None:
        """Write what is held, and the index if there are several shards."""
        self._flush()
        count = len(self._shards)
        if count == 1:
            self._part(0).rename(self._folder / _WEIGHTS)
            return
        weight_map: dict[str, str] = {}
        for number, names in enumerate(self._shards):
            name = f"model-{number + 1:05}-of-{count:05}.safetensors"
            self._part(number).rename(self._folder / name)
            weight_map |= dict.fromkeys(names, name)
        index = {"metadata": {"total_size": self.num_bytes}, "weight_map": dict(sorted(weight_map.items()))}
        write_atomically(self._folder / f"{_WEIGHTS}.index.json", json.dumps(index, indent=1) + "\n")

    def _flush(self) -> None:
        save_file(self._held, self._part(len(self._shards)), metadata={"format": "pt"})
        self._shards.append(list(self._held))
        self._held = {}

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number}.safetensors"
