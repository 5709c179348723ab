"""How the weights lie over the processes that train together, and how a step runs there: alone, DDP or FSDP2."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from radlet.core.errors import ConfigError
from radlet.models.devices import pick_device
from radlet.training.shared_norm import share_statistics
from radlet.training.world import ALONE, World

Parallel = Literal["auto", "ddp", "fsdp"]
T = TypeVar("T")


class Layout(Protocol):
    """The weights on the processes."""

    @property
    def world(self) -> World:
        """The processes."""

    def run(self, work: Callable[[], T]) -> T:
        """Do work that runs the model forward and is followed by its backward pass."""

    def accumulating(self) -> AbstractContextManager[None]:
        """Keep the gradients of this process to itself within the block."""

    def measured(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Return what a validation measures, in every process."""

    def restore(self) -> None:
        """Put the whole plain weights back into the leader's model; the others' is of no more use."""


class _Alone:
    """One process: nothing to do."""

    world = ALONE

    def run(self, work: Callable[[], T]) -> T:
        return work()

    def accumulating(self) -> AbstractContextManager[None]:
        return nullcontext()

    def measured(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        return measure()

    def restore(self) -> None:
        return


class _Root(nn.Module):
    """The model behind one `forward` that runs any work on it, which is all that DDP and FSDP2 need to see."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()


class _Replicated:
    """DDP: every process has all weights; gradients are summed while they come."""

    def __init__(self, model: nn.Module, world: World) -> None:
        self.world = world
        self._restore_norms = share_statistics(model)
        # Layers behind the one that the projector reads, and rows without films, leave weights without gradient.
        self._root = DistributedDataParallel(
            _Root(model), find_unused_parameters=True, forward_sync_buffers=False, gradient_as_bucket_view=True
        )

    def run(self, work: Callable[[], T]) -> T:
        done: T = self._root(work)
        return done

    def accumulating(self) -> AbstractContextManager[None]:
        return self._root.no_sync()

    def measured(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        numbers: dict[str, float] = self.world.told(measure)
        return numbers

    def restore(self) -> None:
        self._restore_norms()


class _Sharded:
    """FSDP2: every process has a part of each weight, its gradient and its optimiser state."""

    def __init__(self, model: nn.Module, world: World) -> None:
        self.world, self._model = world, model
        with torch.no_grad():
            for tensor in [*model.parameters(), *model.buffers()]:
                dist.broadcast(tensor, 0)
        self._plain = _hollow(model)
        share_statistics(model)
        _flatten_scalars(model)
        self._root = _Root(model)
        mesh = init_device_mesh(pick_device().type, (world.size,))
        units = unit_names(model)
        for module in reversed(list(model.modules())):  # the innermost first
            if type(module).__name__ in units:
                fully_shard(module, mesh=mesh)
        fully_shard(self._root, mesh=mesh)

    def run(self, work: Callable[[], T]) -> T:
        done: T = self._root(work)
        return done

    def accumulating(self) -> AbstractContextManager[None]:
        # Gradients kept whole until the last micro-batch would undo the sharding.
        return nullcontext()

    def measured(self, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
        """Measure in every process at once: a forward pass needs the parts of all."""
        numbers: dict[str, float] = self._root(measure)
        for module in self._root.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        return self.world.told(lambda: numbers)  # type: ignore[no-any-return]

    def restore(self) -> None:
        found: dict[str, torch.Tensor] = {}
        for name, tensor in [*self._model.named_parameters(), *self._model.named_buffers()]:
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if self.world.leads:
                found[name] = full.detach()
        if self.world.leads:
            _fill(self._plain, found)
            # What FSDP2 made of the layers cannot be undone, so the untouched copy takes their place.
            for table in ("_modules", "_parameters", "_buffers"):
                setattr(self._model, table, getattr(self._plain, table))


def layout_of(parallel: Parallel, model: nn.Module, world: World) -> Layout:
    """Lay the model over the processes, in place; an optimiser is made of its parameters after that.

    Args:
        parallel: "ddp", "fsdp", or "auto", which is DDP; one process alone needs neither.
        model: The same in every process, on its device; the leader's weights count.
        world: The processes.

    Raises:
        ConfigError: FSDP2 is asked to part quantised weights.
    """
    if world.size == 1:
        return _Alone()
    if parallel == "fsdp" and not all(parameter.is_floating_point() for parameter in model.parameters()):
        raise ConfigError("loop.parallel = 'fsdp' cannot part quantised weights. Choose 'ddp', or another tuning.")
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return (_Sharded if parallel == "fsdp" else _Replicated)(model, world)


def unit_names(model: nn.Module) -> set[str]:
    """Return the class names of the layers that transformers never splits, which become the units of FSDP2."""
    return {
        name
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
        for name in module._no_split_modules or ()
    }


def _flatten_scalars(model: nn.Module) -> None:
    """Make a vector of length 1 of each parameter that is a scalar, which FSDP2 cannot part."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.ndim == 0:
                setattr(module, name, nn.Parameter(parameter.detach()[None], requires_grad=parameter.requires_grad))


def _hollow(model: nn.Module) -> nn.Module:
    """Return a copy of the model whose parameters take no memory."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in model.parameters()
    }
    return copy.deepcopy(model, memo)


def _fill(hollow: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """Put tensors into a hollow copy, by name; shared parameters stay shared."""
    filled = {
        id(p): nn.Parameter(found[name].reshape(p.shape), requires_grad=p.requires_grad)
        for name, p in hollow.named_parameters()
    }
    for module in hollow.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, filled[id(parameter)])
    for name, buffer in hollow.named_buffers():
        buffer.copy_(found[name])
