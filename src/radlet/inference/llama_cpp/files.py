"""Write the language model of a report model as one GGUF file."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.llama_cpp.architectures import find_architecture, rope_factors
from radlet.inference.llama_cpp.quantization import FILE_TYPES, Quantization, choose_type, encode
from radlet.inference.llama_cpp.vocabulary import write_vocabulary
from radlet.models.report_model import ReportModel


@dataclass(frozen=True)
class Tensor:
    """A weight under its name in GGUF, not yet in its format."""

    name: str
    weight: torch.Tensor
    kind: gguf.GGMLQuantizationType


def write_language_model(report_model: ReportModel, path: Path, quantization: Quantization, progress: Progress) -> None:
    """Write configuration, tokenizer and weights.

    Raises:
        CheckpointError: llama.cpp does not know the architecture or the tokenizer.
    """
    config = report_model.model.config.text_config
    architecture = find_architecture(config)
    tensors = list(_tensors(report_model, quantization))
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture.kind])
    writer.add_type(gguf.GGUFType.MODEL)
    architecture.describe(writer, config)
    writer.add_file_type(FILE_TYPES[quantization])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    rows = report_model.model.get_input_embeddings().num_embeddings
    write_vocabulary(writer, report_model.tokenizer, rows)
    write_tensors(writer, tensors, progress)


def write_tensors(writer: gguf.GGUFWriter, tensors: Sequence[Tensor], progress: Progress) -> None:
    """Write what the writer was told and these weights, one weight in memory at a time, and close the file."""
    for tensor in tensors:
        shape = tuple(tensor.weight.shape)
        # The element type counts here, not the array's: it tells how many elements a row of bytes holds.
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), _num_bytes(shape, tensor.kind), tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in progress.track(tensors, "weights", len(tensors)):
        writer.write_tensor_data(encode(tensor.weight.detach().float().cpu().numpy(), tensor.kind))
    writer.close()


def _tensors(report_model: ReportModel, quantization: Quantization) -> Iterator[Tensor]:
    config = report_model.model.config.text_config
    architecture = find_architecture(config)
    names = gguf.get_tensor_name_map(architecture.kind, config.num_hidden_layers)
    output = report_model.model.get_output_embeddings().weight
    tied = output is report_model.model.get_input_embeddings().weight
    weights = {f"model.{name}": weight for name, weight in _decoder_weights(report_model)}
    if not tied:
        weights["lm_head.weight"] = output
    factors = rope_factors(config)
    if factors is not None:
        yield Tensor("rope_freqs.weight", factors, gguf.GGMLQuantizationType.F32)
    for name, weight in weights.items():
        found = names.get_name(name, try_suffixes=(".weight", ".bias")) or names.get_name(
            name.removeprefix("model."), try_suffixes=(".weight", ".bias")
        )
        if found is None:
            raise CheckpointError(f"llama.cpp has no place for the weight '{name}' of this language model.")
        rewritten = architecture.rewrite(name, weight, config)
        kind = choose_type(found, tuple(rewritten.shape), quantization, config.num_hidden_layers, tied)
        yield Tensor(found, rewritten, kind)


def _decoder_weights(report_model: ReportModel) -> Iterator[tuple[str, torch.Tensor]]:
    yield from report_model.model.model.language_model.state_dict().items()


def _num_bytes(shape: tuple[int, ...], kind: gguf.GGMLQuantizationType) -> int:
    per_block, num_bytes = gguf.GGML_QUANT_SIZES[kind]
    return math.prod(shape) // int(per_block) * int(num_bytes)
