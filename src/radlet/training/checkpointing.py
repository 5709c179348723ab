"""Activation checkpointing: the backward pass computes blocks anew instead of keeping what they saw (Chen 2016)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from radlet.models.blocks import find_stacks


def checkpoint_blocks(model: nn.Module) -> int:
    """Keep only the input of every transformer block; return how many blocks that are.

    transformers' own switch works on blocks in training mode alone. Here a frozen language model is in evaluation mode
    while the gradient of the projector passes through it, and that is where the memory goes. Dropout is drawn again as
    it was. Where no gradient is kept, nothing changes.
    """
    blocks = [block for stack in find_stacks(model) for block in stack.blocks]
    for block in blocks:
        # On the instance, not around it: the names of the parameters stay, and hooks run once.
        vars(block)["forward"] = partial(_forward, block.forward)
    return len(blocks)


def _forward(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
