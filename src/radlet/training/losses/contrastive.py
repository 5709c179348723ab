"""The contrastive loss of CLIP with a learned temperature (Radford et al. 2021, figure 3)."""

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention


def contrastive(
    image_embeddings: torch.Tensor, text_embeddings: torch.Tensor, logit_scale: torch.Tensor, text_groups: torch.Tensor
) -> torch.Tensor:
    """Sum, over the pairs of a batch, the mean of the image-to-text and text-to-image cross-entropy.

    Several films share one report, and many normal reports are word for word the same. Pairs of one group are all
    right answers, and the target is spread evenly over them; otherwise the loss would push equals apart.

    Args:
        image_embeddings: Unit rows (B, E).
        text_embeddings: Unit rows (B, E).
        logit_scale: Logarithm of the inverse temperature, clipped at ln 100.
        text_groups: (B,) integers, equal where the texts are equal.
    """
    logits = logit_scale.clamp(max=4.6052).exp() * image_embeddings @ text_embeddings.T
    same = (text_groups[:, None] == text_groups[None, :]).float()
    targets = same / same.sum(1, keepdim=True)
    image_to_text = F.cross_entropy(logits, targets, reduction="sum")
    text_to_image = F.cross_entropy(logits.T, targets, reduction="sum")
    return (image_to_text + text_to_image) / 2
