"""Losses: each sums over the units it was given, so that the loop can divide by the units of a whole step."""

from radlet.core.registry import Registry

LOSSES = Registry(
    "losses",
    {
        "contrastive": "radlet.training.losses.contrastive:contrastive",
        "labels": "radlet.training.losses.labels:label_cross_entropy",
        "language": "radlet.training.losses.language:next_token_cross_entropy",
    },
)
