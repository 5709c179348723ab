"""A frozen linear layer of 8-bit weights, for any device and without any package: tuned around, never tuned."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

_LARGEST = 127


class Int8Linear(nn.Linear):
    """``y = scale * (W8 x) + b``: int8 weights with one scale a row (absmax; Dettmers et al. 2022, section 2.1).

    The weights take a quarter of their fp32 bytes, also while training: the backward pass keeps the 8-bit weights and
    multiplies by them anew.
    """

    scale: nn.Parameter

    @classmethod
    @torch.no_grad()
    def of(cls, weight: torch.Tensor, bias: torch.Tensor | None) -> "Int8Linear":
        """Round a weight (outputs, inputs) to 8 bits; the bias stays as it is."""
        outputs, inputs = weight.shape
        layer = cls(inputs, outputs, bias=False, device="meta")
        scale = (weight.float().abs().amax(1, keepdim=True) / _LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        rounded = (weight.float() / scale).round().to(torch.int8)
        layer.weight = nn.Parameter(rounded, requires_grad=False)
        layer.scale = nn.Parameter(scale.squeeze(1), requires_grad=False)
        if bias is not None:
            layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
        return layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply (…, inputs) in the dtype at hand, the autocast's if there is one."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        product: torch.Tensor = _Product.apply(x, self.weight, self.scale)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias.to(product.dtype)

    def dequantised(self) -> torch.Tensor:
        """Return the weight (outputs, inputs) that the layer multiplies by, in fp32."""
        return self.weight.float() * self.scale.float()[:, None]


class _Product(torch.autograd.Function):
    """``(x W8^T) * scale`` and its gradient for x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weight, scale)
        return F.linear(x, weight.to(x.dtype)) * scale.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, scale = ctx.saved_tensors
        (gradient,) = gradients
        return (gradient * scale.to(gradient.dtype)) @ weight.to(gradient.dtype), None, None
