"""The dtype of the weights while training: what is frozen may be held in bfloat16, what trains is always fp32."""

from typing import Any, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from radlet.models.freezing import is_frozen
from radlet.models.quantised import is_quantised

WeightsDtype = Literal["fp32", "bf16"]


def hold_weights(model: nn.Module, dtype: WeightsDtype) -> None:
    """Set the dtype of the weights in place: "fp32" of all; with "bf16" frozen ones take half the bytes.

    With "bf16" the parts are made to take each other's outputs: whatever enters a part whose weights are all fp32, or
    all frozen, is put into that part's dtype. Buffers, statistics of normalisation and quantised weights stay.
    """
    model.float()
    if dtype == "fp32":
        return
    for module in model.modules():
        if is_quantised(module) or isinstance(module, _BatchNorm):
            continue
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.bfloat16()
    for part in _seams(model):
        part.register_forward_pre_hook(_in_own_dtype, with_kwargs=True)


def _seams(model: nn.Module) -> list[nn.Module]:
    """Return the largest modules outside the language model that are frozen or train as a whole."""
    inner = model.get_submodule("model")
    return [module for name, module in inner.named_children() if name != "language_model" and _is_whole(module)]


def _is_whole(module: nn.Module) -> bool:
    return is_frozen(module) or all(parameter.requires_grad for parameter in module.parameters())


def _in_own_dtype(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    dtype = next(parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())

    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    return tuple(map(cast, args)), {name: cast(value) for name, value in kwargs.items()}
