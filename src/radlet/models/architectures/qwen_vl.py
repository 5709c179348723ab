"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: films as flat patches, and positions of their own for rows and columns.

The family takes films of any shape; here all films of a checkpoint are squares of one size, a multiple of the encoder's
patch times the square of patches that its merger joins into one token (Wang et al. 2024, section 2.1).
"""

from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, Qwen2VLImageProcessorPil
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

from radlet.models.architectures.base import RESAMPLES, Architecture, FilmText


class QwenVL(Architecture):
    """A film is a block of pad tokens between marks; its merger, within the encoder, is the projector."""

    encoder_path = "model.visual"
    projector_path = "model.visual.merger"
    encoder_names = ("visual.",)
    projector_names: tuple[str, ...] = ("visual.merger.",)
    film_text = FilmText("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
    chat_marker = film_text.written(1)
    plain = False

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name

    def stride_px(self, config: PretrainedConfig) -> int:
        """Return the pixels that the merger makes one token of, along a side."""
        return int(config.vision_config.patch_size * config.vision_config.spatial_merge_size)

    def num_image_tokens(self, config: PretrainedConfig, size_px: int) -> int:
        """Return the film's patches, as many as the merger joins taken together."""
        return (self._grid(config, size_px) // int(config.vision_config.spatial_merge_size)) ** 2

    def feature_shape(self, config: PretrainedConfig, size_px: int) -> tuple[int, int]:
        """Return the film's patches and their width."""
        tower = config.vision_config
        return self._grid(config, size_px) ** 2, getattr(tower, "embed_dim", tower.hidden_size)

    def image_processor(self, config: PretrainedConfig, image: dict[str, Any]) -> Any:
        """Return Qwen's, held to the area of the square; other shapes keep their own under it."""
        area = image["size_px"] ** 2
        return Qwen2VLImageProcessorPil(
            size={"shortest_edge": area, "longest_edge": area},
            patch_size=config.vision_config.patch_size,
            merge_size=config.vision_config.spatial_merge_size,
            temporal_patch_size=config.vision_config.temporal_patch_size,
            resample=RESAMPLES[image["resample"]],
            image_mean=image["mean"],
            image_std=image["std"],
        )

    def film_inputs(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> dict[str, Any]:
        """Return the films cut into flat patches, those that are merged beside each other, and their grids."""
        tower = model.config.vision_config
        grid = self._grid(model.config, pixel_values.shape[-1])
        merge, patch = tower.spatial_merge_size, tower.patch_size
        side = grid // merge
        films, channels = pixel_values.shape[:2]
        cut = pixel_values.reshape(films, channels, side, merge, patch, side, merge, patch)
        cut = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)  # (films, rows, columns, 2, 2, channels, patch, patch)
        # A still film is a video that stands still for the frames of one patch.
        still = cut.unsqueeze(6).expand(*cut.shape[:6], tower.temporal_patch_size, patch, patch)
        patches = still.reshape(films * grid**2, -1)
        return {"pixel_values": patches, "image_grid_thw": self._grids(films, grid, pixel_values.device)}

    def feature_inputs(self, model: PreTrainedModel, features: torch.Tensor, size_px: int) -> dict[str, Any]:
        """Return the merged features in place of the films, and their grids."""
        tower = self.encoder(model)
        grids = self._grids(len(features), self._grid(model.config, size_px), features.device)
        merged = self.projector(model)(features.flatten(0, 1))
        if hasattr(tower, "window_size"):  # the encoder worked window by window; back into rows
            windows, _ = get_vision_window_index(grids, tower.spatial_merge_size, tower.window_size, tower.patch_size)
            merged = merged[torch.argsort(windows.to(merged.device))]
        outputs = BaseModelOutputWithPooling(pooler_output=merged.chunk(len(features)))
        return {"mm_encoder_outputs": {"image": outputs}, "image_grid_thw": grids}

    def text_inputs(self, model: PreTrainedModel, input_ids: torch.Tensor) -> dict[str, Any]:
        """Return which tokens are of films: positions are counted from it."""
        return {"mm_token_type_ids": (input_ids == model.config.image_token_id).int()}

    def positions(
        self, model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, films: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return positions (3, B, T) in time, rows and columns, and the one (B,) that follows each row's last."""
        positions, ahead = model.model.get_rope_index(
            input_ids,
            attention_mask=attention_mask,
            image_grid_thw=films.get("image_grid_thw"),
            **self.text_inputs(model, input_ids),
        )
        return positions, attention_mask.sum(-1) + ahead[:, 0]

    def _grid(self, config: PretrainedConfig, size_px: int) -> int:
        """Return the patches along one side of a film."""
        return int(size_px // config.vision_config.patch_size)

    def _grids(self, films: int, grid: int, device: torch.device) -> torch.Tensor:
        return torch.tensor([[1, grid, grid]] * films, device=device)


class Qwen3VL(QwenVL):
    """As the family, and beside the merger further ones read earlier layers for the language model (DeepStack)."""

    projector_names: tuple[str, ...] = ("visual.merger.", "visual.deepstack_merger_list.")

    def feature_shape(self, config: PretrainedConfig, size_px: int) -> tuple[int, int]:
        """Return the film's patches and the width of all the layers that mergers read, side by side."""
        tower = config.vision_config
        layers = 1 + len(tower.deepstack_visual_indexes)
        return self._grid(config, size_px) ** 2, tower.hidden_size * layers

    def features_of(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return what the mergers read of films, the projector's first: (films, N, layers * D)."""
        earlier: list[torch.Tensor] = []
        hooks = [
            merger.register_forward_pre_hook(lambda _, args: earlier.append(args[0]))
            for merger in self._earlier_mergers(model)
        ]
        try:
            last = super().features_of(model, pixel_values)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([last, *(layer.reshape(last.shape) for layer in earlier)], dim=-1)

    def feature_inputs(self, model: PreTrainedModel, features: torch.Tensor, size_px: int) -> dict[str, Any]:
        """Return the merged features of every layer in place of the films, and their grids."""
        mergers = self._earlier_mergers(model)
        last, *earlier = features.chunk(1 + len(mergers), dim=-1)
        inputs = super().feature_inputs(model, last.contiguous(), size_px)
        inputs["mm_encoder_outputs"]["image"]["deepstack_features"] = [
            merger(layer.flatten(0, 1)).chunk(len(features)) for merger, layer in zip(mergers, earlier, strict=True)
        ]
        return inputs

    def _earlier_mergers(self, model: PreTrainedModel) -> list[nn.Module]:
        return list(model.get_submodule("model.visual.deepstack_merger_list"))


QWEN2_VL = QwenVL("Qwen2VLForConditionalGeneration")
QWEN2_5_VL = QwenVL("Qwen2_5_VLForConditionalGeneration")
QWEN3_VL = Qwen3VL("Qwen3VLForConditionalGeneration")
