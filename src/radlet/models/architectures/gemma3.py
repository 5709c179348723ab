"""Gemma 3 with its SigLIP encoder, and MedGemma, which has the same layout (Gemma Team 2025, section 2)."""

from typing import Any

import torch
from transformers import Gemma3ImageProcessorPil, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from radlet.models.architectures.base import RESAMPLES, Architecture, FilmText


class Gemma3(Architecture):
    """A film is a block of soft tokens between marks; within it, attention goes both ways."""

    class_name = "Gemma3ForConditionalGeneration"
    film_text = FilmText("\n\n<start_of_image>", "<image_soft_token>", "<end_of_image>\n\n")
    chat_marker = "<start_of_image>"
    plain = False

    def num_image_tokens(self, config: PretrainedConfig, size_px: int) -> int:  # noqa: ARG002
        """Return what the configuration says."""
        return int(config.mm_tokens_per_image)

    def feature_shape(self, config: PretrainedConfig, size_px: int) -> tuple[int, int]:  # noqa: ARG002
        """Return the encoder's patches, which the projector averages in squares, and their width."""
        tower = config.vision_config
        return (tower.image_size // tower.patch_size) ** 2, tower.hidden_size

    def image_processor(self, config: PretrainedConfig, image: dict[str, Any]) -> Any:  # noqa: ARG002
        """Return Gemma's, where films are squashed as it does."""
        if image["resize"] != "squash":
            return None
        return Gemma3ImageProcessorPil(
            size={"height": image["size_px"], "width": image["size_px"]},
            resample=RESAMPLES[image["resample"]],
            image_mean=image["mean"],
            image_std=image["std"],
        )

    def film_inputs(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """Return the films as they are."""
        return {"pixel_values": pixel_values}

    def feature_inputs(self, model: PreTrainedModel, features: torch.Tensor, size_px: int) -> dict[str, Any]:  # noqa: ARG002
        """Return the projected features in place of the films."""
        projected = self.projector(model)(features)
        return {"mm_encoder_outputs": {"image": BaseModelOutputWithPooling(pooler_output=projected)}}

    def text_inputs(self, model: PreTrainedModel, input_ids: torch.Tensor) -> dict[str, Any]:
        """Return which tokens are of films: the masks of attention are made from it."""
        return {"token_type_ids": (input_ids == model.config.image_token_id).long()}


GEMMA3 = Gemma3()
