"""The dtype of the weights while training: what is frozen may be held in bfloat16, what trains is always fp32."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from radlet.models.quantised import is_quantised

WeightsDtype = Literal["fp32", "bf16"]


def hold_weights(model: nn.Module, dtype: WeightsDtype) -> None:
    """Set the dtype of the weights in place: "fp32" of all; with "bf16" frozen ones take half the bytes.

    With "bf16" the parts are made to take each other's outputs: what enters a module that is frozen, or trains, as a
    whole is put into that module's dtype. Buffers, statistics of normalisation and quantised weights stay.
    """
    for module in model.modules():
        halved = dtype == "bf16" and not is_quantised(module) and not isinstance(module, _BatchNorm)
        for parameter in module.parameters(recurse=False):
            # Straight to where it goes: by way of fp32 a large frozen model would take its full size once more.
            if parameter.is_floating_point():
                parameter.data = parameter.data.to(
                    torch.bfloat16 if halved and not parameter.requires_grad else torch.float32
                )
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(module, name, buffer.float())
    if dtype == "fp32":
        return
    for part in _seams(model.get_submodule("model")):
        part.register_forward_pre_hook(_in_own_dtype, with_kwargs=True)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            # peft would keep an fp32 copy of what enters each update, which costs more than the base saves.
            module.cast_input_dtype_enabled = False
            for down in module.lora_A.values():
                down.register_forward_pre_hook(_in_own_dtype_without_autocast)


def _seams(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the largest modules outside the language model that are frozen, or train, as a whole."""
    for name, child in module.named_children():
        trains = {parameter.requires_grad for parameter in child.parameters()}
        if name == "language_model" or not trains:
            continue
        if len(trains) == 1 and not isinstance(child, nn.ModuleList):  # a list is never called itself
            yield child
        else:
            yield from _seams(child)


def _in_own_dtype_without_autocast(module: nn.Module, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    (x,) = args
    return args if torch.is_autocast_enabled(x.device.type) else (x.to(next(module.parameters()).dtype),)


def _in_own_dtype(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    dtype = next(parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())

    def cast(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    return tuple(map(cast, args)), {name: cast(value) for name, value in kwargs.items()}
