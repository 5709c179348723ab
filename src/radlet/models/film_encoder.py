"""Encoder and projector of a report model without its language model, for engines that run the latter elsewhere."""

import copy
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from radlet.core.errors import CheckpointError
from radlet.models.loading import LOADING_ERRORS, first_line
from radlet.models.report_model import ReportModel

_WEIGHTS = "model.safetensors"
_LANGUAGE = "language_model."


class FilmEncoder:
    """Turn films into what stands in a prompt for their image tokens.

    Args:
        model: A vision-language model of transformers, whose language model is not used.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model

    @torch.inference_mode()
    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the projected tokens (films, N, D), D wide as the language model's own, of (films, 3, S, S)."""
        parameter = next(self._model.parameters())
        films = pixel_values.to(parameter.device, parameter.dtype)
        return torch.stack(list(self._model.get_image_features(films).pooler_output))


def save_film_encoder(report_model: ReportModel, folder: Path) -> None:
    """Write encoder and projector as ``config.json`` and safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    report_model.model.config.save_pretrained(folder)
    weights = report_model.model.model.state_dict()
    kept = {name: value.contiguous() for name, value in weights.items() if not name.startswith(_LANGUAGE)}
    save_file(kept, folder / _WEIGHTS, {"format": "pt"})


def load_film_encoder(folder: Path) -> FilmEncoder:
    """Read what `save_film_encoder` wrote; no weight may be missing or left over.

    Raises:
        CheckpointError: It cannot be read, or the weights do not fit the configuration.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        # What is made on the meta device takes no memory; the tower holds buffers that no file carries.
        with torch.device("meta"):
            model = AutoModel.from_config(copy.deepcopy(config))
        model.language_model = nn.Identity()
        model.vision_tower = AutoModel.from_config(config.vision_config)
        with safe_open(folder / _WEIGHTS, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        model.load_state_dict(weights, strict=True, assign=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{folder}: no encoder could be loaded: {first_line(error)}") from None
    return FilmEncoder(model.eval())
