"""The vLLM exporter: the language model as vLLM serves it, encoder and projector for the engine, and how to start both.

``model/`` (a causal language model of transformers), ``encoder/`` and ``serve.sh``.
"""

import copy
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from transformers import AutoModelForCausalLM

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.core.runs import write_atomically
from radlet.llm.endpoint import ServerConfig
from radlet.models.film_encoder import save_film_encoder
from radlet.models.report_model import ReportModel

ENCODER = "encoder"
MODEL = "model"
NAME = "radlet"
"""Under which the server knows the model."""
_SERVE = """#!/bin/sh
# Starts vLLM on this machine alone, for the export in this folder. Needs vLLM in an environment of its own: give its
# program as VLLM. Whoever reaches the port may crash the server with ill-shaped embeddings: keep it on loopback.
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
exec "${{VLLM:-vllm}}" serve "$(dirname "$0")/{model}" --served-model-name {name} --host 127.0.0.1 --port {port} \\
  --dtype {dtype} --max-model-len {max_tokens} --enable-prompt-embeds --generation-config vllm \\
  --no-enable-log-requests "$@"
"""


class VllmExport(Config):
    """Rewrite a report model for a vLLM server on this machine."""

    exact: ClassVar[dict[str, Any] | None] = None

    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Numbers in which the server computes and the language model is kept."""
    max_tokens: int = Field(default=2048, ge=64)
    """Longest prompt and answer together, films included; no more than the model was made for."""
    server: ServerConfig = ServerConfig(url="http://127.0.0.1:8000/v1", num_concurrent=32, timeout_s=600)
    """Where the engine looks for the server, and how patiently it asks."""

    def write(self, report_model: ReportModel, folder: Path, progress: Progress) -> None:
        """Write the engine's files.

        Raises:
            CheckpointError: The engine cannot serve this model.
        """
        if not report_model.architecture.plain:
            raise CheckpointError(
                f"A model of type '{report_model.model.config.model_type}' wants more than token ids and films, which "
                "the engine 'vllm' does not give. Draft with the checkpoint itself, or serve it with vLLM directly."
            )
        for write in progress.track((self._write_model, self._write_rest), "parts", 2):
            write(report_model, folder)

    def max_positions(self, report_model: ReportModel) -> int:
        """Return for how many the server makes room."""
        return min(self.max_tokens, report_model.max_positions or self.max_tokens)

    def _write_model(self, report_model: ReportModel, folder: Path) -> None:
        model = report_model.model
        config = copy.deepcopy(model.config.get_text_config())
        with torch.device("meta"):  # takes no memory: every weight is given below
            language_model = AutoModelForCausalLM.from_config(config)
        weights = {f"model.{name}": value for name, value in model.model.language_model.state_dict().items()}
        weights |= {f"lm_head.{name}": value for name, value in model.get_output_embeddings().state_dict().items()}
        dtype: torch.dtype = getattr(torch, self.dtype)
        language_model.load_state_dict({name: value.to(dtype) for name, value in weights.items()}, assign=True)
        language_model.tie_weights()
        language_model.config.dtype = dtype
        language_model.generation_config.eos_token_id = report_model.tokenizer.eos_token_id
        language_model.save_pretrained(folder / MODEL)
        report_model.tokenizer.save_pretrained(folder / MODEL)

    def _write_rest(self, report_model: ReportModel, folder: Path) -> None:
        save_film_encoder(report_model, folder / ENCODER)
        longest = self.max_positions(report_model)
        script = _SERVE.format(model=MODEL, name=NAME, port=self.server.port, dtype=self.dtype, max_tokens=longest)
        write_atomically(folder / "serve.sh", script)
        (folder / "serve.sh").chmod(0o755)
