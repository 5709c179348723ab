"""Quantise the linear layers of a language model's blocks, and give them back as plain layers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from radlet.core.errors import ConfigError
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.tunings.targets import linear_layers

_TRANSPOSED = "stands_for_conv1d"
"""Attribute of a quantised layer: whether it took the place of GPT-2's `Conv1D`."""


def quantise_blocks(model: PreTrainedModel, quantisation: str) -> None:
    """Replace every linear layer in the blocks of the language model by a quantised one that never trains.

    Embeddings, norms and the head stay as they are. A layer that is quantised already is left alone.

    Raises:
        ConfigError: The package that quantises is not installed.
    """
    try:
        form = QUANTISATIONS[quantisation]
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigError(
            f"tuning.quantisation = '{quantisation}' needs {package}, which is not installed: "
            "pip install \"radlet[qlora]\". 'int8' needs no package."
        ) from None
    for target in list(linear_layers(model)):
        if is_quantised(target.layer):
            continue
        plain: Any = target.layer
        transposed = isinstance(plain, Conv1D)
        weight = plain.weight.detach()
        layer = form.of(weight.T.contiguous() if transposed else weight, plain.bias)
        vars(layer)[_TRANSPOSED] = transposed
        target.block.set_submodule(target.inner, layer)


def quantised_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the quantised layers by name."""
    for name, module in model.named_modules():
        if is_quantised(module):
            yield name, module


def is_quantised(module: nn.Module) -> bool:
    """Say whether the module was put there by `quantise_blocks`."""
    return _TRANSPOSED in vars(module)


@torch.no_grad()
def plain_layer(layer: Any, update: torch.Tensor | None = None) -> nn.Module:
    """Return the plain fp32 layer of the weights that a quantised one multiplies by, plus an update to them."""
    weight = layer.dequantised()
    weight = weight if update is None else weight + update.to(weight)
    outputs, inputs = weight.shape
    plain: nn.Module
    if vars(layer)[_TRANSPOSED]:
        plain = Conv1D(outputs, inputs)
        weight = weight.T.contiguous()
    else:
        plain = nn.Linear(inputs, outputs, bias=layer.bias is not None, device="meta")
    plain.weight = nn.Parameter(weight)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias.detach().float())
    return plain
