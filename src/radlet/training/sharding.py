"""The tensors of a training state in safetensors: one file where each process holds all, else one for each process.

A state can be read by another number of processes than wrote it, and by another layout.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load as load_parts
from torch.distributed.checkpoint.state_dict_saver import save as save_parts
from torch.distributed.tensor import DTensor, distribute_tensor

from radlet.training.world import World

DAMAGED = (CheckpointException, SafetensorError, KeyError)
"""What reading damaged files raises, besides OSError and ValueError."""

_WHOLE = "tensors.safetensors"


def write_tensors(tensors: Mapping[str, torch.Tensor], folder: Path, world: World) -> None:
    """Write named tensors into a folder that every process sees."""
    if any(isinstance(tensor, DTensor) for tensor in tensors.values()):
        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        save_parts(dict(tensors), storage_writer=writer, process_group=world.patient)
    elif world.leads:
        save_file(whole_tensors(tensors, world), folder / _WHOLE)


def whole_tensors(tensors: Mapping[str, torch.Tensor], world: World) -> dict[str, torch.Tensor]:
    """Return copies of whole tensors on the CPU to the leader, one after the other; nothing to the others."""
    whole = {}
    for name, tensor in tensors.items():
        full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if world.leads:
            whole[name] = full.detach().contiguous().cpu().clone()
    return whole


def read_tensors(folder: Path, like: Callable[[str], torch.Tensor | None], world: World) -> dict[str, torch.Tensor]:
    """Return the tensors of a folder, each laid over the processes as the one that `like` names."""
    if (folder / _WHOLE).is_file():
        return {name: laid_as(like(name), tensor) for name, tensor in load_file(folder / _WHOLE).items()}
    reader = HuggingFaceStorageReader(str(folder))
    wanted: dict[str, torch.Tensor] = {}
    for name, described in reader.read_metadata().state_dict_metadata.items():
        if not isinstance(described, TensorStorageMetadata):  # which safetensors cannot hold
            continue
        model = like(name)
        if isinstance(model, DTensor):
            wanted[name] = torch.empty_like(model)
        else:
            wanted[name] = torch.empty(described.size, dtype=described.properties.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # as it should be
        load_parts(wanted, storage_reader=reader, process_group=world.patient, no_dist=world.size == 1)
    return {name: laid_as(like(name), tensor) for name, tensor in wanted.items()}


def laid_as(model: torch.Tensor | None, tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor laid over the processes as the model is."""
    if model is None or isinstance(tensor, DTensor):
        return tensor
    if tensor.numel() == model.numel() == 1:  # a scalar, which is a vector where parameters are parted
        tensor = tensor.reshape(model.shape)
    if not isinstance(model, DTensor):
        return tensor
    # Every process has read the file: none has to be sent its part.
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements, src_data_rank=None)
