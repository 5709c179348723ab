"""Published vision towers from a local folder: the right part of the checkpoint, strictly, at the films' size."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
import transformers
from transformers import PreTrainedModel

from radlet.core.errors import CheckpointError, ConfigError
from radlet.models.loading import Loaded, load_strictly

_TEXT_SIDE = ("text_model.", "text_projection.", "visual_projection.", "logit_scale", "logit_bias")
_CLASSIFIER = ("classifier.",)


@dataclass(frozen=True)
class TowerFamily:
    """How one kind of published checkpoint becomes a tower.

    Attributes:
        words: What it is, for people.
        class_name: The class of transformers.
        positions: Name of the learned positions, in memory.
        left: Starts of names of other parts of the same checkpoint, left out.
        fresh: Starts of names that the file may lack, because no hidden state depends on them.
    """

    words: str
    class_name: str
    positions: str
    left: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()


_CLIP = TowerFamily("CLIP", "CLIPVisionModel", "embeddings.position_embedding.weight", _TEXT_SIDE)
_SIGLIP = TowerFamily(
    "SigLIP, and SigLIP 2 of a fixed size", "SiglipVisionModel", "embeddings.position_embedding.weight", _TEXT_SIDE
)
TOWERS = {
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "dinov2": TowerFamily(
        "DINOv2, RAD-DINO, LLaVA-Rad's", "Dinov2Model", "embeddings.position_embeddings", _CLASSIFIER
    ),
    # Its pooler stands behind the last hidden state, which is what a projector reads at the latest.
    "vit": TowerFamily(
        "ViT, BiomedCLIP converted", "ViTModel", "embeddings.position_embeddings", _CLASSIFIER, ("pooler.",)
    ),
}
"""``model_type`` of a folder's config.json -> how its tower is taken."""


def load_tower(path: Path, size_px: int, interpolate: bool = False) -> Loaded:
    """Load the vision tower of a published checkpoint for square films of `size_px`.

    A checkpoint that also holds a text tower or a classifier gives its image side alone; what was left is counted.

    Args:
        path: Local folder.
        size_px: Side of the films.
        interpolate: Whether the learned positions may be interpolated from the tower's own size to `size_px`.

    Raises:
        CheckpointError: The folder holds no tower that is known, or its weights are not complete.
        ConfigError: The tower was made for another size and `interpolate` is off.
    """
    family = TOWERS[_model_type(path)]
    loaded = load_strictly(
        getattr(transformers, family.class_name),
        path,
        "vision tower",
        may_be_left=family.left,
        may_be_fresh=family.fresh,
    )
    own = int(loaded.model.config.image_size)
    if own == size_px:
        return loaded
    if not interpolate:
        raise ConfigError(
            f"image.size_px = {size_px}, but the tower in {path} was made for films of {own} px. Set image.size_px = "
            f"{own}, or encoder.interpolate = true, which stretches its positions."
        )
    return Loaded(_resized(loaded.model, family.positions, size_px), loaded.left, loaded.fresh)


def _model_type(path: Path) -> str:
    try:
        model_type = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type")
    except OSError:
        raise CheckpointError(f"{path}: no vision tower could be loaded: there is no config.json in it.") from None
    except (ValueError, AttributeError):
        raise CheckpointError(f"{path}: no vision tower could be loaded: config.json is damaged.") from None
    if model_type not in TOWERS:
        more = " It cuts films of any shape into patches by itself; take a SigLIP 2 of a fixed size instead."
        raise CheckpointError(
            f"{path}: no vision tower could be loaded: model_type = '{model_type}' is none of {', '.join(TOWERS)}."
            f"{more if str(model_type).startswith('siglip2') else ''}"
        )
    return str(model_type)


@torch.no_grad()
def _resized(tower: PreTrainedModel, positions: str, size_px: int) -> PreTrainedModel:
    """Return the same tower for films of another size; positions are interpolated as transformers does, bicubic."""
    config = copy.deepcopy(tower.config)
    if size_px % config.patch_size:
        raise ConfigError(f"image.size_px = {size_px} is no multiple of the tower's patches of {config.patch_size} px.")
    config.image_size = size_px
    state = dict(tower.state_dict())
    table = state[positions].reshape(-1, config.hidden_size)  # (N, D)
    old, new = tower.config.image_size // config.patch_size, size_px // config.patch_size
    num_extra = len(table) - old * old
    grid = table[num_extra:].T.reshape(1, config.hidden_size, old, old)
    grid = F.interpolate(grid.float(), size=(new, new), mode="bicubic", align_corners=False).to(table.dtype)
    stretched = torch.cat([table[:num_extra], grid.reshape(config.hidden_size, new * new).T])
    state[positions] = stretched.reshape(*state[positions].shape[:-2], *stretched.shape)
    resized: PreTrainedModel = type(tower)(config)
    resized.load_state_dict(state)
    return resized.to(tower.dtype).eval()
