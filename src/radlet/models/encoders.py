"""Image encoders: from a recipe's table to a transformers vision tower that LLaVA can carry.

A tower is usable when its ``hidden_states`` are token sequences (B, N, D). A purely convolutional network has maps
(B, C, H, W) instead, so the small towers trained here are hybrids: a convolutional trunk, which learns from thousands
of films where a plain ViT needs millions, under a few transformer layers (Dosovitskiy et al. 2021, section 3.1).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn
from transformers import AutoConfig, AutoModel, DPTConfig, PreTrainedModel, RTDetrResNetConfig

from radlet.core.config import Config
from radlet.core.errors import ConfigError
from radlet.models.towers import load_tower


class HybridEncoderConfig(Config):
    """A residual convolutional trunk under transformer layers: transformers' hybrid `DPTModel` over RT-DETR's ResNet.

    That ResNet looks three times at half the resolution before anything is pooled away, and pools by maximum: blunted
    angles and fine lines survive it, which strided convolutions from the first layer on lose (He et al. 2019, "Bag of
    tricks", section 4).
    """

    kind: Literal["hybrid"] = "hybrid"
    widths: tuple[Annotated[int, Field(ge=2, multiple_of=2)], ...] = Field(default=(32, 80, 160), min_length=2)
    """Channels of the stages; the stem before them ends with as many as the first. Each stage after the first halves
    the resolution, which the stem has quartered."""
    depths: tuple[Annotated[int, Field(ge=1)], ...] = (1, 1, 1)
    """Residual layers of each stage, two convolutions each."""
    hidden_size: int = Field(default=128, ge=1)
    """Width of the tokens."""
    num_layers: int = Field(default=1, ge=1)
    """Transformer layers over the map of the last stage."""
    num_heads: int = Field(default=4, ge=1)
    """Attention heads in each transformer layer."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout of the transformer layers."""
    feature_layer: int = -1
    """Which hidden state the projector reads."""

    @property
    def stride_px(self) -> int:
        """Pixels of the film to one token, along each side."""
        return 2 << len(self.widths)

    def build(self, size_px: int) -> PreTrainedModel:
        """Make the tower with random weights for square films of `size_px`.

        Raises:
            ConfigError: The film's size is no multiple of the stride, or the stages' widths and depths do not match.
        """
        if len(self.depths) != len(self.widths):
            raise ConfigError(f"encoder.depths has {len(self.depths)} stages and encoder.widths {len(self.widths)}.")
        if self.hidden_size % self.num_heads:
            raise ConfigError(f"encoder.hidden_size={self.hidden_size} is no multiple of num_heads={self.num_heads}.")
        if size_px % self.stride_px:
            raise ConfigError(f"size_px={size_px} is no multiple of the encoder's stride {self.stride_px}.")
        grid = size_px // self.stride_px
        last = len(self.widths)
        trunk = RTDetrResNetConfig(
            embedding_size=self.widths[0],
            hidden_sizes=list(self.widths),
            depths=list(self.depths),
            layer_type="basic",
            # DPT asks for three maps and reads the last.
            out_features=["stem", *(f"stage{stage}" for stage in (last - 1, last))],
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
    """Folder of a pre-trained tower (CLIP, SigLIP, DINOv2, ViT); its own configuration then holds."""
    interpolate: bool = False
    """Stretch the learned positions of the tower at `path` to films of another size than it was made for."""
    feature_layer: int = -2
    """Which hidden state the projector reads."""

    def build(self, size_px: int) -> PreTrainedModel:
        """Load the tower from `path`, or make it with random weights for square films of `size_px`.

        Raises:
            ConfigError: Neither or both of `path` and `model_type` are given, transformers does not know the type, or
                the tower at `path` was made for another size.
            CheckpointError: The folder holds no tower that is known, or its weights are not complete.
        """
        if (self.path is None) == (self.model_type is None):
            raise ConfigError("An encoder of kind 'transformers' needs exactly one of path and model_type.")
        if self.path is not None:
            return load_tower(self.path, size_px, self.interpolate).model
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
