"""What a piece of model code costs, found by running it on tensors without storage.

Inside `counting`, tensors have shapes and no memory, so the code of a 7-billion-parameter step runs in seconds on any
machine. Every operation it calls is noted: the multiplications of matrix products (PyTorch's own formulas), the bytes
read and written, and how much memory is alive at once, intermediate results for the backward pass included. What is
counted is therefore the code that will run, not a formula that has to be kept like it.
"""

import weakref
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers.initialization import no_init_weights


class _Attention(NamedTuple):
    query: int
    """Position of the queries (B, H, T, D) among the arguments; the keys follow."""
    num_products: int
    """Products of the size T x T x D."""


_CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _Attention(0, 2),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _Attention(1, 5),
}
"""Kernels that PyTorch's own table of formulas does not have."""


_FUNCTIONS = frozenset(
    (
        *("_softmax", "_softmax_backward_data", "_log_softmax", "_log_softmax_backward_data"),
        *("silu", "silu_backward", "gelu", "gelu_backward", "sigmoid", "tanh"),
        *("exp", "exp_", "log", "cos", "sin", "masked_fill", "masked_fill_"),
    )
)
"""Kernels that a processor's arithmetic holds up rather than its memory."""
_DRAWS = frozenset(("bernoulli", "bernoulli_", "native_dropout"))
"""Kernels that draw random numbers."""


@dataclass(frozen=True)
class Operation:
    """One call of a kernel.

    Attributes:
        flops: Floating-point operations of a matrix product or convolution; 0 for anything else.
        half: Whether it multiplies 16-bit numbers.
        moved_bytes: Bytes of its arguments and results.
        functions: Numbers that it makes by many instructions each: exponentials, and what a mask fills.
        draws: Random numbers that it draws.
        shapes: Sizes and strides of a product's arguments; None for anything else.
    """

    flops: int
    half: bool
    moved_bytes: int
    functions: int = 0
    draws: int = 0
    shapes: Hashable = None


@dataclass
class Cost:
    """What ran inside `counting`.

    Attributes:
        operations: In order.
        blocks: Memory asked for and given back, in order: (number of the block, its bytes), and 0 bytes when it goes.
        live_bytes: Made here and not yet freed.
        peak_bytes: Largest `live_bytes` so far.
    """

    operations: list[Operation] = field(default_factory=list)
    blocks: list[tuple[int, int]] = field(default_factory=list)
    live_bytes: int = 0
    peak_bytes: int = 0

    @property
    def flops(self) -> int:
        """Floating-point operations of all matrix products."""
        return sum(operation.flops for operation in self.operations)

    @property
    def moved_bytes(self) -> int:
        """Bytes read and written by all operations."""
        return sum(operation.moved_bytes for operation in self.operations)

    @property
    def half_products(self) -> set[Hashable]:
        """The different products of 16-bit numbers, for each of which a CPU's library compiles a kernel."""
        return {operation.shapes for operation in self.operations if operation.half and operation.flops}


@contextmanager
def without_storage(dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Make models and tensors inside that have shapes and types alone; weights are of `dtype`."""
    # Starting values are of no use here, and drawing some of them looks at numbers, which there are none of.
    # Nor can anything be moved: modules that ask for it stay as they are.
    usual_dtype, usual_apply = torch.get_default_dtype(), nn.Module._apply
    torch.set_default_dtype(dtype)
    nn.Module._apply = _stay  # type: ignore[method-assign]
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), no_init_weights():
            yield
    finally:
        torch.set_default_dtype(usual_dtype)
        nn.Module._apply = usual_apply  # type: ignore[method-assign]


def _stay(module: nn.Module, _: Any, recurse: bool = True) -> nn.Module:  # noqa: ARG001 - torch's own signature
    return module


@contextmanager
def counting() -> Iterator[Cost]:
    """Count what the code inside costs; models and tensors come from `without_storage`."""
    cost = Cost()
    with _Counter(cost):
        yield cost


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, cost: Cost) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._cost = cost
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given, made = _tensors((args, kwargs)), _tensors(result)
        if _is_view(func) or not made:  # those that ask for a shape or a device make nothing
            return result
        flops = _flops(func._overloadpacket, args, kwargs, result)
        half = made[0].dtype in (torch.bfloat16, torch.float16)
        moved = sum(tensor.numel() * tensor.element_size() for tensor in (*given, *made))
        name, made_numbers = func._overloadpacket.__name__, max(tensor.numel() for tensor in made)
        self._cost.operations.append(
            Operation(
                flops,
                half,
                moved,
                functions=made_numbers * (name in _FUNCTIONS),
                draws=made_numbers * (name in _DRAWS),
                shapes=(name, *((tuple(t.shape), t.stride()) for t in given)) if flops else None,
            )
        )
        for tensor in made:
            self._note(tensor)
        return result

    def _note(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, num_bytes = id(storage), storage.nbytes()
        if key in self._alive:
            return
        cost, alive, number = self._cost, self._alive, len(self._cost.blocks)

        def freed(_: Any) -> None:
            cost.live_bytes -= num_bytes
            cost.blocks.append((number, 0))
            alive.pop(key, None)

        alive[key] = weakref.ref(storage, freed)
        cost.blocks.append((number, num_bytes))
        cost.live_bytes += num_bytes
        cost.peak_bytes = max(cost.peak_bytes, cost.live_bytes)


def _flops(kernel: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    if kernel in _CPU_ATTENTION:
        query, key = args[_CPU_ATTENTION[kernel].query], args[_CPU_ATTENTION[kernel].query + 1]
        products = _CPU_ATTENTION[kernel].num_products
        return int(2 * products * query.numel() * key.shape[-2])
    count = flop_registry.get(kernel)
    return int(count(*args, **kwargs, out_val=result)) if count else 0


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _is_view(func: Any) -> bool:
    """Say whether the result shares its argument's memory and nothing is computed."""
    return any(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns)
