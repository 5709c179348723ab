"""Import a language model from one GGUF file, llama.cpp's format, as a folder that recipes can name.

Packed weights are unpacked to 32 bits: the folder holds what the file holds, no more exactly than it was packed. The
vocabulary, its merges and the chat template come from the file too.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from radlet.core.errors import CheckpointError, ConfigError

_MAGIC = b"GGUF"


def import_gguf(file: Path, out: Path) -> int:
    """Write the language model of a GGUF file as safetensors with its tokenizer; return its number of parameters.

    Args:
        file: The GGUF file.
        out: Folder to write; made if need be.

    Raises:
        CheckpointError: It is no GGUF file, or holds a model that transformers cannot unpack.
        ConfigError: The package gguf is not installed.
    """
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_MAGIC))
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({type(error).__name__}). Give a GGUF file.") from None
    if magic != _MAGIC:
        raise CheckpointError(f"{file}: is no GGUF file. Give one of a language model.")
    place = {"gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
        model, loading = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.float32, output_loading_info=True, **place
        )
    except ImportError:
        raise ConfigError('A GGUF file needs the package gguf: pip install "radlet[llama-cpp]"') from None
    except Exception as error:  # noqa: BLE001 - a damaged file fails in many ways in the libraries; each is a refusal
        message = str(error).splitlines()[0][:200] if str(error) else ""
        raise CheckpointError(f"{file}: cannot be unpacked ({type(error).__name__}: {message}).") from None
    missing = sorted(set(loading["missing_keys"]) - set(model.all_tied_weights_keys))
    if missing or loading["unexpected_keys"]:
        raise CheckpointError(
            f"{file}: {len(missing)} weights of the model are not in it and {len(loading['unexpected_keys'])} are "
            f"unknown, such as {[*missing, *sorted(loading['unexpected_keys'])][:3]}."
        )
    _forget_packing(model)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return int(model.num_parameters())


def _forget_packing(model: PreTrainedModel) -> None:
    """Let a model be saved that was packed when it was read; transformers refuses as long as it remembers that."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
