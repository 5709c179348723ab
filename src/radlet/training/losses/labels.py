"""Binary cross-entropy over several labels, where some may be unknown."""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention


def label_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, positive_weight: torch.Tensor) -> torch.Tensor:
    """Sum over films the mean binary cross-entropy of their known labels.

    Args:
        logits: (B, L).
        targets: (B, L) in 0..1; NaN where a label is unknown.
        positive_weight: (L,) weight of a positive label, so that rare findings are not drowned.
    """
    known = ~targets.isnan()
    each = F.binary_cross_entropy_with_logits(
        logits, targets.nan_to_num(0.0), pos_weight=positive_weight, reduction="none"
    )
    return ((each * known).sum(1) / known.sum(1).clamp(min=1)).sum()
