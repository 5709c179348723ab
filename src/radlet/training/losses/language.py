"""Next-token cross-entropy over supervised positions only."""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from radlet.models.prompts import IGNORED


def next_token_cross_entropy(hidden: torch.Tensor, labels: torch.Tensor, head: nn.Module) -> torch.Tensor:
    """Sum the cross-entropy over the supervised positions; logits exist for these alone.

    Args:
        hidden: Last hidden states (B, T, D).
        labels: (B, T) token ids; -100 where nothing is supervised.
        head: Maps hidden states to logits over the vocabulary.
    """
    following = labels[:, 1:]
    supervised = following != IGNORED
    logits = head(hidden[:, :-1][supervised]).float()
    return F.cross_entropy(logits, following[supervised], reduction="sum")
