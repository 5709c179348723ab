"""Batch normalisation over the rows of all processes, so that statistics do not depend on how rows were dealt out."""

from collections.abc import Callable

import torch
from torch import nn

from radlet.training.world import summed


class _SharedBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.SyncBatchNorm` works on GPUs alone; this works on every device, with the exact gradient."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the name of the base class
        """Normalise maps (B, C, H, W) by the mean and variance over the batches of all processes."""
        if not self.training or self.running_mean is None or self.running_var is None or self.momentum is None:
            return super().forward(input)
        maps = input.float()
        sums = torch.cat([maps.sum((0, 2, 3)), maps.new_tensor([maps.numel() / maps.shape[1]])])
        sums = summed(sums)
        count = sums[-1].detach()
        mean = sums[:-1] / count
        variance = summed((maps - mean[:, None, None]).square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * count / (count - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        weight = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            weight = weight * self.weight
        bias = -mean * weight
        if self.bias is not None:
            bias = bias + self.bias
        return (maps * weight[:, None, None] + bias[:, None, None]).to(input.dtype)


def share_statistics(model: nn.Module) -> Callable[[], None]:
    """Let every batch normalisation of the model see all processes' rows; call what is returned to end that."""
    changed = [module for module in model.modules() if type(module) is nn.BatchNorm2d]
    for module in changed:
        module.__class__ = _SharedBatchNorm2d

    def restore() -> None:
        for module in changed:
            module.__class__ = nn.BatchNorm2d

    return restore
