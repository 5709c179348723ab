"""Image encoders: from a recipe's table to a transformers vision tower that LLaVA can carry.

A tower is usable when its ``hidden_states`` are token sequences (B, N, D). A purely convolutional network has maps
(B, C, H, W) instead, so the small towers trained here are hybrids: a convolutional trunk, which learns from thousands
of films where a plain ViT needs millions, under a few transformer layers (Dosovitskiy et al. 2021, section 3.1).
"""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn
from transformers import AutoConfig, AutoModel, DPTConfig, PreTrainedModel, ResNetConfig

from radlet.core.config import Config
from radlet.core.errors import CheckpointError, ConfigError

logger = logging.getLogger(__name__)


class HybridEncoderConfig(Config):
    """A ResNet trunk of basic blocks under transformer layers, as transformers' hybrid `DPTModel`."""

    kind: Literal["hybrid"] = "hybrid"
    stem_width: int = 32
    """Channels after the stem, which reduces the film four times."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of the stages; every stage after the first halves the resolution."""
    depths: tuple[int, ...] = (1, 1, 1, 1)
    """Basic blocks in each stage."""
    hidden_size: int = 192
    """Width of the tokens."""
    num_layers: int = 1
    """Transformer layers over the map of the last stage."""
    num_heads: int = 4
    """Attention heads in each transformer layer."""
    dropout: float = 0.0
    """Dropout of the transformer layers, 0..1."""
    feature_layer: int = -1
    """Which hidden state the projector reads."""

    @property
    def stride_px(self) -> int:
        """Pixels of the film to one token, along each side."""
        return 1 << (len(self.widths) + 1)

    def build(self, size_px: int) -> PreTrainedModel:
        """Make the tower with random weights for square films of `size_px`.

        Raises:
            ConfigError: The film's size is no multiple of the stride, or the stages do not match.
        """
        if size_px % self.stride_px:
            raise ConfigError(f"size_px={size_px} is no multiple of the encoder's stride {self.stride_px}.")
        if len(self.widths) != len(self.depths) or len(self.widths) < 3:
            raise ConfigError(f"widths={self.widths} and depths={self.depths} must name the same three or more stages.")
        grid = size_px // self.stride_px
        trunk = ResNetConfig(
            num_channels=3,
            embedding_size=self.stem_width,
            hidden_sizes=list(self.widths),
            depths=list(self.depths),
            layer_type="basic",
            out_features=[f"stage{i}" for i in range(len(self.widths) - 2, len(self.widths) + 1)],
        )
        config = DPTConfig(
            is_hybrid=True,
            backbone_config=trunk,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            intermediate_size=2 * self.hidden_size,
            hidden_dropout_prob=self.dropout,
            image_size=size_px,
            patch_size=self.stride_px,
            backbone_featmap_shape=[1, self.widths[-1], grid, grid],
            backbone_out_indices=[0] * 4,
        )
        tower = AutoModel.from_config(config)
        nn.init.trunc_normal_(tower.embeddings.position_embeddings, std=0.02)
        nn.init.trunc_normal_(tower.embeddings.cls_token, std=0.02)
        return tower


class TransformersEncoderConfig(Config):
    """Any vision model of transformers whose hidden states are token sequences (CLIP, SigLIP, DINOv2, ViT, ...)."""

    kind: Literal["transformers"]
    model_type: str | None = None
    """The architecture's name in transformers, for random weights: "dinov2", "clip_vision_model", "vit" ..."""
    options: dict[str, Any] = {}
    """Fields of that architecture's configuration."""
    path: Path | None = None
    """Folder of a pre-trained tower; its own configuration then holds."""
    feature_layer: int = -2
    """Which hidden state the projector reads."""

    def build(self, size_px: int) -> PreTrainedModel:
        """Load the tower from `path`, or make it with random weights for square films of `size_px`.

        Raises:
            ConfigError: Neither or both of `path` and `model_type` are given, or transformers does not know the type.
            CheckpointError: The folder holds no loadable model.
        """
        if (self.path is None) == (self.model_type is None):
            raise ConfigError("An encoder of kind 'transformers' needs exactly one of path and model_type.")
        if self.path is not None:
            try:
                return AutoModel.from_pretrained(self.path, local_files_only=True)
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{self.path}: no vision tower could be loaded: {error}") from None
        try:
            return AutoModel.from_config(AutoConfig.for_model(self.model_type, image_size=size_px, **self.options))
        except ValueError as error:
            raise ConfigError(f"encoder.model_type='{self.model_type}': {str(error).splitlines()[0][:200]}") from None


EncoderConfig = Annotated[HybridEncoderConfig | TransformersEncoderConfig, Field(discriminator="kind")]


def tower_tokens(tower: PreTrainedModel, pixel_values: torch.Tensor, feature_layer: int) -> torch.Tensor:
    """Return the hidden state (B, N, D) that the projector reads, class token included.

    Raises:
        ConfigError: The tower's hidden states are not token sequences.
    """
    hidden: torch.Tensor = tower(pixel_values, output_hidden_states=True).hidden_states[feature_layer]
    if hidden.ndim != 3:
        raise ConfigError(f"The encoder's hidden states have shape {tuple(hidden.shape)}; (B, N, D) is needed.")
    return hidden


def token_layout(tower: PreTrainedModel, size_px: int, feature_layer: int) -> tuple[int, int]:
    """Return (tokens that are not patches, patches along one side) for square films of `size_px`.

    Found by running one blank film, so that it holds for every architecture.

    Raises:
        ConfigError: The tokens are not a square grid with at most one class token in front.
    """
    device = next(tower.parameters()).device
    training = tower.training
    tower.eval()
    with torch.no_grad():
        num_tokens = tower_tokens(tower, torch.zeros(1, 3, size_px, size_px, device=device), feature_layer).shape[1]
    tower.train(training)
    for num_extra in (0, 1):
        side = round((num_tokens - num_extra) ** 0.5)
        if side * side == num_tokens - num_extra:
            return num_extra, side
    raise ConfigError(f"The encoder gives {num_tokens} tokens: neither a square grid nor one with a class token.")
