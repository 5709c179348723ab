"""Where the repeated blocks of a model stand, found by structure, so that no architecture's names need be known.

transformers builds every transformer layer on `GradientCheckpointingLayer`; such layers in one `ModuleList` are a
stack.
"""

from contextlib import suppress
from dataclasses import dataclass

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer


@dataclass(frozen=True)
class Stack:
    """The blocks of one tower or language model, in order.

    Attributes:
        name: Path of the list that holds them, as in `named_modules`.
        blocks: The blocks.
    """

    name: str
    blocks: tuple[nn.Module, ...]


def find_stacks(model: nn.Module) -> list[Stack]:
    """Return every stack of transformer blocks in the order of the modules; stacks inside of blocks are none."""
    stacks: list[Stack] = []
    for name, module in model.named_modules():
        if any(name.startswith(f"{stack.name}.") for stack in stacks):
            continue
        if isinstance(module, nn.ModuleList) and any(isinstance(block, GradientCheckpointingLayer) for block in module):
            stacks.append(Stack(name, tuple(module)))
    return stacks


def restore_blocks(model: nn.Module) -> None:
    """Let every block run as its class is written: undo what was put around `forward` of the instances."""
    for stack in find_stacks(model):
        for block in stack.blocks:
            with suppress(KeyError):
                del vars(block)["forward"]
