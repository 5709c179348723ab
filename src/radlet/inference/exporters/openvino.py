"""The OpenVINO exporter: language model, token embeddings, encoder and projector as OpenVINO's own files.

``language_model.{xml,bin}`` and ``film_encoder.{xml,bin}``.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.openvino.graph import language_model_graph, trace
from radlet.inference.openvino.runtime import import_openvino
from radlet.inference.openvino.weights import compress_weights
from radlet.models.report_model import ReportModel

LANGUAGE_MODEL = "language_model.xml"
FILM_ENCODER = "film_encoder.xml"


class OpenVinoExport(Config):
    """Rewrite a report model for OpenVINO."""

    exact: ClassVar[dict[str, Any] | None] = {"quantization": "none"}

    quantization: Literal["none", "int8", "int4"] = "int8"
    """How the language model's matrices are kept: as they are, in 8 bits with a scale for each row, or in 4 bits with a
    scale for each group of a row. Token embeddings and the last layer take 8 bits in both; encoder and projector stay
    as they are."""
    group_size: int = Field(default=64, ge=16)
    """Weights that share a scale in 4 bits. A matrix whose rows it does not divide takes 8 bits."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files.

        Raises:
            CheckpointError: OpenVINO cannot serve this model.
            ConfigError: OpenVINO is not installed.
        """
        openvino = import_openvino()
        if not report_model.architecture.plain:
            raise CheckpointError(
                f"A model of type '{report_model.model.config.model_type}' wants more than token ids and films, which "
                "the engine 'openvino' does not give. Draft with the checkpoint itself, or export it for 'vllm'."
            )
        for name, make in progress.track(
            ((FILM_ENCODER, self._film_encoder), (LANGUAGE_MODEL, self._language_model)), "parts", 2
        ):
            openvino.save_model(make(report_model), folder / name, compress_to_fp16=False)

    def max_positions(self, report_model: ReportModel) -> int | None:
        """Return the checkpoint's own: the engine would read more, and make nothing of it."""
        return report_model.max_positions

    def _language_model(self, report_model: ReportModel) -> object:
        graph = language_model_graph(report_model.model)
        if self.quantization != "none":
            compress_weights(graph, bits=8 if self.quantization == "int8" else 4, group_size=self.group_size)
        return graph

    def _film_encoder(self, report_model: ReportModel) -> object:
        size = report_model.card.image["size_px"]
        graph = trace(_FilmEncoder(report_model), (torch.zeros(2, 3, size, size),))
        graph.reshape([-1, 3, size, size])
        return graph


class _FilmEncoder(nn.Module):
    """Encoder and projector: films (films, 3, S, S) to tokens (films, N, D)."""

    def __init__(self, report_model: ReportModel) -> None:
        super().__init__()
        self.model = report_model.model
        self._projector = report_model.architecture.projector(report_model.model)
        self._num_tokens = report_model.num_image_tokens

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the tokens."""
        projected: list[torch.Tensor] = []
        # Taken at the projector: behind it the model cuts the films apart, which a trace does as often as it saw.
        hook = self._projector.register_forward_hook(lambda _, __, output: projected.append(output))
        try:
            self.model.get_image_features(pixel_values=pixel_values)
        finally:
            hook.remove()
        return projected[0].reshape(pixel_values.shape[0], self._num_tokens, -1)
