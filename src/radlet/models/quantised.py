"""Quantise the linear layers of a language model's blocks, and give them back as plain layers."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from radlet.core.errors import ConfigError
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.quantisations.base import QuantisedLinear
from radlet.models.tunings.targets import linear_layers

_TRANSPOSED = "stands_for_conv1d"
"""Attribute of a quantised layer: whether it took the place of GPT-2's `Conv1D`."""


def find_form(quantisation: str) -> type[QuantisedLinear]:
    """Return the layer of that name.

    Raises:
        ConfigError: The package that quantises is not installed.
    """
    try:
        form: type[QuantisedLinear] = QUANTISATIONS[quantisation]
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigError(
            f"tuning.quantisation = '{quantisation}' needs {package}, which is not installed: "
            "pip install \"radlet[qlora]\". 'int8' needs no package."
        ) from None
    return form


def quantise_blocks(model: PreTrainedModel, quantisation: str) -> None:
    """Replace every linear layer in the blocks of the language model by a quantised one that never trains.

    Embeddings, norms and the head stay as they are. A layer that is quantised already is left alone, as in a model that
    was quantised while it was read.

    Raises:
        ConfigError: The package that quantises is not installed.
    """
    form = find_form(quantisation)
    for target in list(linear_layers(model)):
        plain: Any = target.layer
        if not is_quantised(plain):
            target.block.set_submodule(target.inner, quantised_layer(plain, plain.weight, form))


def quantised_layer(plain: Any, weight: torch.Tensor, form: type[QuantisedLinear]) -> nn.Module:
    """Return the quantised layer that takes the place of a linear one or a `Conv1D`, for a weight laid out as its own.

    Args:
        plain: What it takes the place of; its bias is kept as it is.
        weight: The numbers; those of `plain` may not have been read yet.
        form: The quantised layer.
    """
    transposed = isinstance(plain, Conv1D)
    weight = weight.detach()
    layer: Any = form.of(weight.T.contiguous() if transposed else weight, plain.bias)
    vars(layer)[_TRANSPOSED] = transposed
    quantised: nn.Module = layer
    return quantised


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
