"""What every quantised layer offers beside being a linear one."""

from typing import Protocol, Self

import torch


class QuantisedLinear(Protocol):
    """A frozen linear layer whose weights are kept in few bits; it passes gradients on and has none itself."""

    bias: torch.nn.Parameter | None

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor | None) -> Self:
        """Return the layer for a weight (outputs, inputs), on its device; the bias stays as it is."""
        ...

    def dequantised(self) -> torch.Tensor:
        """Return, in fp32, the weight (outputs, inputs) that the layer multiplies by."""
        ...
