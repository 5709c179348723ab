"""Compiled blocks: the small operations between a block's matrix products become a few kernels (Ansel et al. 2024)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from radlet.core.errors import ConfigError
from radlet.models.blocks import find_stacks


def compile_blocks(model: nn.Module) -> int:
    """Compile every transformer block for the passes that keep gradients; return how many blocks that are.

    Blocks of one kind share what is compiled, and lengths are unknowns of it: batches of any length need it once.
    Where no gradient is kept, as in validation and drafting, the blocks run as they are written. `restore_blocks`
    undoes it; activation checkpointing goes around it.

    Raises:
        ConfigError: Nothing can be compiled here.
    """
    blocks = [block for stack in find_stacks(model) for block in stack.blocks]
    if blocks:
        _check_compiler(next(model.parameters()).device)
    for block in blocks:
        # On the instance, not around it: the names of the parameters stay, and hooks run once.
        vars(block)["forward"] = partial(_forward, block.forward, torch.compile(block.forward, dynamic=True))
    return len(blocks)


def _forward(written: Callable[..., Any], compiled: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return (compiled if torch.is_grad_enabled() else written)(*args, **kwargs)


def _check_compiler(device: torch.device) -> None:
    """Compile a sum: what is missing shows in the first second, not within the first step's traceback.

    Raises:
        ConfigError: It could not be compiled.
    """
    try:
        torch.compile(torch.add)(torch.ones(2, device=device), 1)
    except RuntimeError as error:  # of whatever compiler there is, or is not
        reason = str(error).strip().splitlines()[0]
        needed = "Triton" if device.type == "cuda" else "a C++ compiler such as g++ and Python's headers"
        raise ConfigError(
            f"loop.compile = true, but nothing can be compiled here ({reason}). Install {needed}, or set "
            "loop.compile = false, which trains the same numbers more slowly."
        ) from error
