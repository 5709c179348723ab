"""Losses: each sums over the units it was given, so that the loop can divide by the units of a whole step.

The registry holds those between films and their reports, which a recipe picks by name. Such a loss takes unit rows of
films (B, E) and of reports (B, E), the logarithm of the inverse temperature, and the groups (B,) of equal reports.
"""

from radlet.core.registry import Registry

LOSSES = Registry(
    "losses",
    {
        "contrastive": "radlet.training.losses.contrastive:contrastive",
    },
)
