"""Vision transformers under the names that timm gives them, as open_clip checkpoints hold them, to transformers' names.

timm keeps query, key and value in one matrix and calls the learned factor of a residual branch ``ls*.gamma``;
transformers keeps three and calls the factor ``layer_scale*.lambda1``. The numbers are the same. The names are those of
transformers' files, which `from_pretrained` reads; in memory a version may call them otherwise.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Dinov2Config, ViTConfig

from radlet.core.errors import CheckpointError

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_QKV = ("query", "key", "value")


@dataclass(frozen=True)
class Renaming:
    """How one architecture of transformers names the parts of a timm vision transformer.

    Attributes:
        outside: Names outside the blocks.
        inside: Names inside a block, after ``blocks.{i}.``.
        qkv: Prefix of the three matrices inside a block that ``attn.qkv`` becomes.
        block: Prefix of a block, with ``{}`` for its number.
    """

    outside: Mapping[str, str]
    inside: Mapping[str, str]
    qkv: str
    block: str = "encoder.layer.{}."

    def targets(self, name: str) -> tuple[str, ...]:
        """Return the names that a timm name becomes: three for ``attn.qkv``, none for a name that is unknown."""
        if name in self.outside:
            return (self.outside[name],)
        found = _BLOCK.fullmatch(name)
        if found is None:
            return ()
        block, part = self.block.format(int(found[1])), found[2]
        if part in ("attn.qkv.weight", "attn.qkv.bias"):
            return tuple(f"{block}{self.qkv}{one}.{part.rpartition('.')[2]}" for one in _QKV)
        return (block + self.inside[part],) if part in self.inside else ()


def _with_bias(names: Mapping[str, str]) -> dict[str, str]:
    return {f"{old}.{end}": f"{new}.{end}" for old, new in names.items() for end in ("weight", "bias")}


DINOV2 = Renaming(
    outside={
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        **_with_bias({"patch_embed.proj": "embeddings.patch_embeddings.projection", "norm": "layernorm"}),
    },
    inside={
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
        **_with_bias(
            {
                "norm1": "norm1",
                "norm2": "norm2",
                "attn.proj": "attention.output.dense",
                "mlp.fc1": "mlp.fc1",
                "mlp.fc2": "mlp.fc2",
            }
        ),
    },
    qkv="attention.attention.",
)
"""transformers' `Dinov2Model`, which is a vision transformer with LayerScale (Oquab et al. 2023)."""


VIT = Renaming(
    outside=DINOV2.outside,
    inside=_with_bias(
        {
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "attn.proj": "attention.output.dense",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        }
    ),
    qkv="attention.attention.",
)
"""transformers' `ViTModel`, the plain vision transformer (Dosovitskiy et al. 2021)."""


@dataclass(frozen=True)
class ConvertedTower:
    """A tower under transformers' names.

    Attributes:
        tensors: What a safetensors file of the tower holds.
        mapped: timm name -> the names it became.
        unknown: timm names that the renaming does not know, in order.
    """

    tensors: dict[str, torch.Tensor]
    mapped: dict[str, tuple[str, ...]]
    unknown: tuple[str, ...]


def convert_tower(state: Mapping[str, torch.Tensor], renaming: Renaming = DINOV2) -> ConvertedTower:
    """Rename the tensors of a timm vision transformer; ``attn.qkv`` is cut into its three parts, row-wise."""
    tensors: dict[str, torch.Tensor] = {}
    mapped: dict[str, tuple[str, ...]] = {}
    for name, tensor in state.items():
        targets = renaming.targets(name)
        if targets:
            mapped[name] = targets
            tensors.update(zip(targets, tensor.chunk(len(targets)), strict=True))
    return ConvertedTower(tensors, mapped, tuple(name for name in state if name not in mapped))


def dinov2_config(state: Mapping[str, torch.Tensor], size_px: int, num_heads: int) -> Dinov2Config:
    """Read the configuration of a `Dinov2Model` off the shapes of a timm state.

    Args:
        state: timm names.
        size_px: Side of the films; shapes tell only how many patches there are.
        num_heads: Attention heads, which shapes do not tell.

    Raises:
        CheckpointError: A tensor that tells a size is missing, or the sizes contradict each other.
    """
    sizes = _sizes(state, size_px, num_heads)
    return Dinov2Config(
        **sizes,
        mlp_ratio=state["blocks.0.mlp.fc1.weight"].shape[0] // sizes["hidden_size"],
        use_mask_token=False,  # of self-supervised training; no published checkpoint of open_clip carries one
        layer_norm_eps=1e-6,
    )


def vit_config(state: Mapping[str, torch.Tensor], size_px: int, num_heads: int) -> ViTConfig:
    """Read the configuration of a `ViTModel` off the shapes of a timm state; arguments and errors as above.

    timm's layer norms have an epsilon of 1e-6, those of transformers' own ViT 1e-12.
    """
    return ViTConfig(
        **_sizes(state, size_px, num_heads),
        intermediate_size=state["blocks.0.mlp.fc1.weight"].shape[0],
        layer_norm_eps=1e-6,
    )


def _sizes(state: Mapping[str, torch.Tensor], size_px: int, num_heads: int) -> dict[str, Any]:
    needed = ("patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight")
    missing = [name for name in needed if name not in state]
    if missing:
        raise CheckpointError(f"The vision transformer has no {missing[0]}. Give one with timm's names.")
    width, channels, patch, _ = state["patch_embed.proj.weight"].shape
    num_positions = state["pos_embed"].shape[1]
    if num_positions != (size_px // patch) ** 2 + 1:
        raise CheckpointError(
            f"The vision transformer has {num_positions} positions; films of {size_px} px in patches of {patch} px "
            f"need {(size_px // patch) ** 2 + 1}. Give the configuration that belongs to the weights."
        )
    if width % num_heads:
        raise CheckpointError(f"The vision transformer's width {width} is no multiple of its {num_heads} heads.")
    return {
        "hidden_size": width,
        "num_hidden_layers": 1 + max(int(found[1]) for name in state if (found := _BLOCK.fullmatch(name))),
        "num_attention_heads": num_heads,
        "image_size": size_px,
        "patch_size": patch,
        "num_channels": channels,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state,
    }
