"""Light augmentation of films: what changes between two exposures of one chest, and nothing that changes its meaning.

Never mirrored: the side of a finding would no longer be the side its report names.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from radlet.core.config import Config


class AugmentationConfig(Config):
    """Ranges of the random changes; zero everywhere leaves films alone."""

    rotation_deg: float = 0.0
    """Largest rotation to either side."""
    translation: float = 0.0
    """Largest shift, as a share of the film."""
    scale: float = 0.0
    """Largest change of size, as a share."""
    brightness: float = 0.0
    """Largest shift of the normalised values."""
    contrast: float = 0.0
    """Largest relative change of the spread around the film's mean."""

    def apply(self, pixel_values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return changed films (B, 3, S, S); every film draws its own change from `generator`."""
        if self == AugmentationConfig():
            return pixel_values
        num_films = len(pixel_values)

        def uniform(limit: float) -> torch.Tensor:
            return (torch.rand(num_films, generator=generator) * 2 - 1) * limit

        angle = uniform(math.radians(self.rotation_deg))
        zoom = 1 + uniform(self.scale)
        affine = torch.stack(
            [
                torch.stack([angle.cos() * zoom, -angle.sin() * zoom, 2 * uniform(self.translation)], dim=1),
                torch.stack([angle.sin() * zoom, angle.cos() * zoom, 2 * uniform(self.translation)], dim=1),
            ],
            dim=1,
        )
        grid = F.affine_grid(affine, list(pixel_values.shape), align_corners=False)
        moved = F.grid_sample(pixel_values, grid, padding_mode="border", align_corners=False)
        mean = moved.mean(dim=(1, 2, 3), keepdim=True)
        contrast = (1 + uniform(self.contrast)).view(-1, 1, 1, 1)
        return (moved - mean) * contrast + mean + uniform(self.brightness).view(-1, 1, 1, 1)
