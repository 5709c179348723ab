"""The layers of a language model that a tuning method works on, found by structure rather than by their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from radlet.core.errors import ConfigError
from radlet.models.blocks import find_stacks
from radlet.models.freezing import part_of


@dataclass(frozen=True)
class Target:
    """One linear layer inside a block of the language model.

    Attributes:
        stack: Path of the list of blocks.
        block: The block it stands in.
        inner: Path of the layer inside its block, "self_attn.q_proj".
        layer: The layer; GPT-2's `Conv1D` is one too, its weight transposed.
    """

    stack: str
    block: nn.Module
    inner: str
    layer: nn.Module

    @property
    def shape(self) -> tuple[int, int]:
        """Inputs and outputs."""
        if isinstance(self.layer, Conv1D):
            return int(self.layer.weight.shape[0]), int(self.layer.weight.shape[1])
        return int(self.layer.in_features), int(self.layer.out_features)  # type: ignore[arg-type]


def linear_layers(model: PreTrainedModel) -> Iterator[Target]:
    """Yield every linear layer inside the blocks of the language model; neither its head nor the encoder's layers."""
    for stack in find_stacks(model):
        if part_of(f"{stack.name}.") != "language_model":
            continue
        for block in stack.blocks:
            for inner, layer in block.named_modules():
                if isinstance(layer, nn.Linear | Conv1D):
                    yield Target(stack.name, block, inner, layer)


def choose_targets(model: PreTrainedModel, names: tuple[str, ...] | str) -> list[Target]:
    """Return the layers that carry one of the names, or all of them for "auto".

    Raises:
        ConfigError: A name is that of no linear layer in the blocks of the language model.
    """
    layers = list(linear_layers(model))
    if isinstance(names, str):
        if not layers:
            raise ConfigError("tuning.target_modules = 'auto' found no linear layer in the language model.")
        return layers
    known = {layer.inner.rpartition(".")[2] for layer in layers}
    if unknown := sorted(set(names) - known):
        raise ConfigError(
            f"tuning.target_modules={unknown} match no layer of the language model. Its linear layers are "
            f"{sorted(known)}; 'auto' takes all of them."
        )
    return [layer for layer in layers if layer.inner.rpartition(".")[2] in names]


def pattern_of(targets: list[Target]) -> str:
    """Return the regular expression that matches the full names of the targets, as peft reads it."""
    by_stack: dict[str, dict[str, None]] = {}
    for target in targets:
        by_stack.setdefault(target.stack, {})[target.inner] = None
    return "|".join(
        rf"{re.escape(stack)}\.\d+\.(?:{'|'.join(map(re.escape, inner))})" for stack, inner in by_stack.items()
    )
