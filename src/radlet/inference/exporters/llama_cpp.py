"""Export for llama.cpp: the language model as GGUF, encoder and projector as they are."""

from pathlib import Path
from typing import Literal

from transformers import LlavaForConditionalGeneration

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.engines.llama_cpp import ENCODER, LANGUAGE_MODEL
from radlet.inference.llama_cpp.files import write_language_model
from radlet.models.film_encoder import save_film_encoder
from radlet.models.report_model import ReportModel


class LlamaCppExport(Config):
    """Options of an export for llama.cpp."""

    quantization: Literal["F32", "F16", "Q8_0", "Q4_K_M", "Q4_0"] = "Q8_0"
    """How the language model's weights are kept: exact, halved, or in blocks of about 8.5, 4.8 and 4.5 bits."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files.

        Raises:
            CheckpointError: The language model is of a kind that is not written.
        """
        if not isinstance(report_model.model, LlavaForConditionalGeneration):
            raise CheckpointError(
                f"The checkpoint is a {type(report_model.model).__name__}; the export to llama.cpp writes models that "
                "are laid out as LLaVA. Keep to the checkpoint."
            )
        write_language_model(report_model, folder / LANGUAGE_MODEL, self.quantization, progress)
        save_film_encoder(report_model, folder / ENCODER)
