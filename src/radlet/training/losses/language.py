"""Next-token cross-entropy over supervised positions only, without the logits of all of them at once.

The logits of a report are far larger than what they come from: at a vocabulary of 150,000, a megabyte a token with
their gradient. Here they exist for some positions at a time; the gradient of those is taken at once and the logits are
forgotten (the fused linear cross-entropy of Hsu et al. 2024, "Liger Kernel", section 3.2, in plain PyTorch).
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn
from torch.utils.checkpoint import checkpoint

from radlet.models.prompts import IGNORED

MAX_LOGITS = 2**24
"""Logits that exist at once: 64 MB of them in single precision, and about three times that while they are used."""
_PART = 8192
"""Rows of the head whose gradient is computed at once."""


def next_token_cross_entropy(
    hidden: torch.Tensor, labels: torch.Tensor, head: nn.Module, max_logits: int = MAX_LOGITS
) -> torch.Tensor:
    """Sum the cross-entropy over the supervised positions.

    Args:
        hidden: Last hidden states (B, T, D).
        labels: (B, T) token ids; -100 where nothing is supervised.
        head: Maps hidden states to logits over the vocabulary.
        max_logits: Logits that may exist at once; at least one position is computed at a time.
    """
    following = labels[:, 1:]
    supervised = following != IGNORED
    states, targets = hidden[:, :-1][supervised], following[supervised]  # (P, D), (P,)
    if _is_one_matrix(head):
        rows = max(1, max_logits // head.weight.shape[0])
        loss: torch.Tensor = _LinearCrossEntropy.apply(states, head.weight, head.bias, targets, rows)
        return loss
    return _recomputed(states, targets, head, max_logits)


def _is_one_matrix(head: nn.Module) -> bool:
    """Say whether the head is a plain matrix, neither adapted nor packed into fewer bits."""
    return isinstance(head, nn.Linear) and head.weight.shape == (head.out_features, head.in_features)


def _recomputed(states: torch.Tensor, targets: torch.Tensor, head: nn.Module, max_logits: int) -> torch.Tensor:
    """Sum the loss by chunks whose logits any head makes, and makes again in the backward pass."""

    def chunk_loss(chunk: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(head(chunk).float(), target, reduction="sum")

    vocab_size = head(states[:1].detach()).shape[-1]
    rows = max(1, max_logits // vocab_size)
    total = states.new_zeros((), dtype=torch.float32)
    for chunk, target in zip(states.split(rows), targets.split(rows), strict=True):
        total = total + checkpoint(chunk_loss, chunk, target, use_reentrant=False)
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    """The summed cross-entropy of ``states @ weight.T + bias``; gradients are taken chunk by chunk on the way forward.

    A weight that does not train gets none, which is the whole price of that matrix in a frozen language model.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        rows: int,
    ) -> torch.Tensor:
        """Return the sum over positions; states (P, D), weight (V, D), bias (V,), targets (P,)."""
        device = states.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        grads = _Gradients(states, weight, bias, ctx.needs_input_grad)
        total = torch.zeros((), dtype=torch.float32, device=states.device)
        with torch.autocast(device, enabled=False):
            matrix = weight.to(dtype)
            for start in range(0, len(states), rows):
                chunk, target = states[start : start + rows].to(dtype), targets[start : start + rows]
                logits = F.linear(chunk, matrix, None if bias is None else bias.to(dtype)).float()
                largest = logits.amax(1, keepdim=True)
                right = logits.gather(1, target[:, None])
                probabilities = logits.sub_(largest).exp_()
                sums = probabilities.sum(1, keepdim=True)
                total += (sums.log() + largest - right).sum()
                if grads.wanted:
                    # The gradient of the logits: what was predicted, less what was right.
                    probabilities.div_(sums).scatter_add_(1, target[:, None], -torch.ones_like(right))
                    grads.add(start, chunk, probabilities.to(dtype), matrix)
        ctx.grads = grads
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale what the forward pass found, in place: nobody else holds it."""
        grads, ctx.grads = ctx.grads, None
        if grads is None:
            raise RuntimeError("This loss can be differentiated once: its gradients are not kept.")
        return (*(None if g is None else g.mul_(grad_output) for g in grads.all()), None, None)


class _Gradients:
    """Room for the gradients that are asked for, filled chunk by chunk."""

    def __init__(
        self, states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, needed: tuple[bool, ...]
    ) -> None:
        self._states = torch.empty_like(states) if needed[0] else None
        self._weight = torch.zeros_like(weight) if needed[1] else None
        self._bias = torch.zeros_like(bias) if bias is not None and needed[2] else None
        self.wanted = any(needed[:3])

    def add(self, start: int, chunk: torch.Tensor, of_logits: torch.Tensor, matrix: torch.Tensor) -> None:
        """Add what the logits of a chunk give; `chunk` (C, D), `of_logits` (C, V), `matrix` (V, D)."""
        if self._states is not None:
            self._states[start : start + len(chunk)] = of_logits @ matrix
        if self._weight is not None:
            # By parts of the vocabulary: the product of all of it would be as large as the gradient once more.
            for part, columns in zip(self._weight.split(_PART), of_logits.split(_PART, dim=1), strict=True):
                part += columns.T @ chunk
        if self._bias is not None:
            self._bias += of_logits.sum(0, dtype=self._bias.dtype)

    def all(self) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of states, weight and bias."""
        return self._states, self._weight, self._bias
