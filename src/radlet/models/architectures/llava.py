"""LLaVA-1.5 (Liu et al. 2024), and all that radlet assembles: a tower, a two-layer projector, a language model."""

from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from radlet.models.architectures.base import Architecture


class Llava(Architecture):
    """One film, one run of image tokens, nothing around them."""

    class_name = "LlavaForConditionalGeneration"

    def num_image_tokens(self, config: PretrainedConfig, size_px: int) -> int:  # noqa: ARG002
        """Return what the configuration says."""
        return int(config.image_seq_length)

    def problem_with(self, config: PretrainedConfig, size_px: int) -> str | None:
        """Return that the film's patches are not as many as the image tokens, if so."""
        patches = (size_px // config.vision_config.patch_size) ** 2
        if config.image_seq_length - patches in (0, 1):
            return None
        return (
            f"config.json says {config.image_seq_length} image tokens (image_seq_length) and films of {size_px} px "
            f"have {patches} patches. Give files that belong together."
        )

    def feature_shape(self, config: PretrainedConfig, size_px: int) -> tuple[int, int]:
        """Return the image tokens and the width of the layers that the projector reads."""
        layers = config.vision_feature_layer
        num_layers = 1 if isinstance(layers, int) else len(layers)
        return self.num_image_tokens(config, size_px), config.vision_config.hidden_size * num_layers

    def film_inputs(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """Return the films as they are."""
        return {"pixel_values": pixel_values}

    def feature_inputs(self, model: PreTrainedModel, features: torch.Tensor, size_px: int) -> dict[str, Any]:  # noqa: ARG002
        """Return the projected features in place of the films."""
        projected = self.projector(model)(features)
        return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=list(projected))}}


LLAVA = Llava()
