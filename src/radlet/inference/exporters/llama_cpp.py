"""Export for llama.cpp: the language model as GGUF, encoder and projector as they are.

``language_model.gguf``, ``encoder/``, and ``mmproj.gguf`` for llama.cpp's own programs where those know the tower.
"""

from pathlib import Path
from typing import Any, ClassVar, Literal

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.engines.llama_cpp import ENCODER, LANGUAGE_MODEL
from radlet.inference.llama_cpp.files import write_language_model
from radlet.inference.llama_cpp.projector import PROJECTOR, problem_with_projector, write_projector
from radlet.models.film_encoder import save_film_encoder
from radlet.models.report_model import ReportModel


class LlamaCppExport(Config):
    """Options of an export for llama.cpp."""

    exact: ClassVar[dict[str, Any] | None] = {"quantization": "F32"}
    quantization: Literal["F32", "F16", "Q8_0", "Q4_K_M", "Q4_0"] = "Q8_0"
    """How the language model's weights are kept: exact, halved, or in blocks of about 8.5, 4.8 and 4.5 bits."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files.

        Raises:
            CheckpointError: The language model is of a kind that is not written.
        """
        if not report_model.architecture.plain:
            raise CheckpointError(
                f"A model of type '{report_model.model.config.model_type}' wants more than token ids and films, which "
                "the engine 'llama-cpp' does not give. Draft with the checkpoint itself."
            )
        write_language_model(report_model, folder / LANGUAGE_MODEL, self.quantization, progress)
        save_film_encoder(report_model, folder / ENCODER)
        problem = problem_with_projector(report_model)
        if problem is None:
            write_projector(report_model, folder / PROJECTOR, self.quantization, progress)
        else:
            progress.console.print(
                f"No {PROJECTOR} is written, because llama.cpp's own code cannot compute tower and projector: "
                f"{problem}. radlet needs none: it computes both and gives llama.cpp the films as embeddings."
            )

    def max_positions(self, report_model: ReportModel) -> int | None:
        """Return the checkpoint's own: the engine would read more, and make nothing of it."""
        return report_model.max_positions
