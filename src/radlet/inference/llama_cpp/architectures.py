"""Language models that llama.cpp knows: what it wants to be told of each, and how it wants their weights.

One entry a model type of transformers. Names of tensors come from the package gguf; here stands what differs in value:
the order of rotated halves, norms that count from one, layers that are stored transposed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gguf
import torch

from radlet.core.errors import CheckpointError

Describe = Callable[[gguf.GGUFWriter, Any], None]
Rewrite = Callable[[str, torch.Tensor, Any], torch.Tensor]


@dataclass(frozen=True)
class Architecture:
    """How one architecture is written.

    Attributes:
        kind: Its name in GGUF.
        describe: Writes its sizes.
        rewrite: Turns a weight, given its name in transformers, into what llama.cpp computes with.
    """

    kind: gguf.MODEL_ARCH
    describe: Describe
    rewrite: Rewrite


def find_architecture(config: Any) -> Architecture:
    """Return how the language model with this configuration is written.

    Raises:
        CheckpointError: llama.cpp does not know it, or not this variant of it.
    """
    if config.model_type not in _ARCHITECTURES:
        raise CheckpointError(
            f"The language model is of type '{config.model_type}', which the export to llama.cpp does not write. It "
            f"writes: {', '.join(sorted(_ARCHITECTURES))}. Export to another engine, or keep to the checkpoint."
        )
    return _ARCHITECTURES[config.model_type]


def rope_factors(config: Any) -> torch.Tensor | None:
    """Return what llama.cpp divides each rotary frequency by (the extension of Llama 3.1), if there is such a thing."""
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    size = _head_size(config)
    waves = 2 * torch.pi * rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float64) / size)
    short, long = (rope["original_max_position_embeddings"] / rope[f"{end}_freq_factor"] for end in ("high", "low"))
    share = (rope["original_max_position_embeddings"] / waves - rope["low_freq_factor"]) / (
        rope["high_freq_factor"] - rope["low_freq_factor"]
    )
    between = 1 / ((1 - share) / rope["factor"] + share)
    factors = torch.where(waves < short, 1.0, torch.where(waves > long, rope["factor"], between))
    return factors.float()


def _describe_decoder(writer: gguf.GGUFWriter, config: Any) -> None:
    """Write the sizes that all but GPT-2 have in common."""
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(_head_size(config))
    writer.add_value_length(_head_size(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = _rope(config)
    writer.add_rope_dimension_count(int(_head_size(config) * rope.get("partial_rotary_factor", 1.0)))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope.get("rope_type", "default") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    elif rope.get("rope_type", "default") not in {"default", "llama3"}:
        raise CheckpointError(
            f"The language model stretches its positions by '{rope['rope_type']}', which the export to llama.cpp does "
            "not write; it writes default, linear and llama3. Export to another engine, or keep to the checkpoint."
        )


def _describe_llama(writer: gguf.GGUFWriter, config: Any) -> None:
    _describe_decoder(writer, config)
    writer.add_vocab_size(config.vocab_size)
    _refuse_window(config)


def _describe_qwen(writer: gguf.GGUFWriter, config: Any) -> None:
    _describe_decoder(writer, config)
    _refuse_window(config)


def _describe_gemma3(writer: gguf.GGUFWriter, config: Any) -> None:
    _describe_decoder(writer, config)
    writer.add_sliding_window(config.sliding_window)
    kinds = config.layer_types
    if kinds != ["full_attention" if (layer + 1) % 6 == 0 else "sliding_attention" for layer in range(len(kinds))]:
        raise CheckpointError(
            "llama.cpp knows Gemma 3 with full attention in every sixth layer only. Export to another engine, or keep "
            "to the checkpoint."
        )


def _describe_phi3(writer: gguf.GGUFWriter, config: Any) -> None:
    _describe_decoder(writer, config)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    writer.add_sliding_window(config.sliding_window or 0)


def _describe_gpt2(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_context_length(config.n_positions)
    writer.add_embedding_length(config.n_embd)
    writer.add_block_count(config.n_layer)
    writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
    writer.add_head_count(config.n_head)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _keep(_name: str, weight: torch.Tensor, _config: Any) -> torch.Tensor:
    return weight


def _interleave_heads(name: str, weight: torch.Tensor, config: Any) -> torch.Tensor:
    """Bring the two halves that rotate together side by side, as Llama's own code has them."""
    for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
        if f".{part}." in name:
            return weight.reshape(heads, 2, -1, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)
    return weight


def _count_norms_from_zero(name: str, weight: torch.Tensor, _config: Any) -> torch.Tensor:
    return weight + 1 if name.endswith("norm.weight") else weight


def _transpose_layers(name: str, weight: torch.Tensor, _config: Any) -> torch.Tensor:
    return weight.T if name.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else weight


def _refuse_window(config: Any) -> None:
    """Refuse a window that a draft could outgrow; llama.cpp reads these architectures without one."""
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True) and window < config.max_position_embeddings:
        raise CheckpointError(
            f"The language model looks back {window} tokens only, which the export to llama.cpp does not write. Export "
            "to another engine, or keep to the checkpoint."
        )


def _rope(config: Any) -> dict[str, Any]:
    rope: dict[str, Any] = config.rope_parameters
    full: dict[str, Any] = rope.get("full_attention", rope)
    return full


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


_ARCHITECTURES = {
    "llama": Architecture(gguf.MODEL_ARCH.LLAMA, _describe_llama, _interleave_heads),
    "mistral": Architecture(gguf.MODEL_ARCH.LLAMA, _describe_llama, _interleave_heads),
    "qwen2": Architecture(gguf.MODEL_ARCH.QWEN2, _describe_qwen, _keep),
    "qwen3": Architecture(gguf.MODEL_ARCH.QWEN3, _describe_qwen, _keep),
    "gemma3_text": Architecture(gguf.MODEL_ARCH.GEMMA3, _describe_gemma3, _count_norms_from_zero),
    "phi3": Architecture(gguf.MODEL_ARCH.PHI3, _describe_phi3, _keep),
    "gpt2": Architecture(gguf.MODEL_ARCH.GPT2, _describe_gpt2, _transpose_layers),
}
