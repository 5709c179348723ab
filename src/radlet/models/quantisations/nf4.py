"""4-bit NormalFloat through bitsandbytes: sixteen levels, one scale to 64 weights (Dettmers et al. 2023, section 3)."""

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit, Params4bit
from torch import nn


class Nf4Linear(Linear4bit):  # type: ignore[misc]
    """bitsandbytes' 4-bit layer with double quantisation: about an eighth of the fp32 bytes, also while training."""

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor | None) -> "Nf4Linear":
        """Return the layer for a weight (outputs, inputs); the bias stays as it is."""
        outputs, inputs = weight.shape
        layer = cls(inputs, outputs, bias=False, quant_type="nf4", device="meta")
        # bitsandbytes would repack the weights in evaluation for a kernel that takes only some shapes, in place, and
        # could then train no further.
        layer.support_avx512bf16_for_cpu = False
        layer.weight = Params4bit(weight.detach().clone(), requires_grad=False, quant_type="nf4")
        layer.bias = None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)
        placed: Nf4Linear = layer.to(weight.device)  # which is when the weights are rounded
        return placed

    def dequantised(self) -> torch.Tensor:
        """Return the weight (outputs, inputs) that the layer multiplies by, in fp32."""
        weight: torch.Tensor = dequantize_4bit(self.weight.data, self.weight.quant_state)
        return weight.float()
