"""A language model of transformers as a graph of OpenVINO that keeps its own memory of keys and values.

Inputs: ``input_ids`` (B, T), where an id beyond the vocabulary stands for a token of a film; ``film_tokens`` (F, D), at
least one row; ``attention_mask`` (B, past + T); ``position_ids`` (B, T); ``beam_idx`` (B,), the rows of the memory to go
on with. Output: ``logits`` (B, V) of what follows the last token.
"""

import warnings
from typing import Any

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from radlet.core.errors import CheckpointError
from radlet.inference.openvino.runtime import import_openvino

_INPUTS = ("input_ids", "film_tokens", "attention_mask", "position_ids", "beam_idx")


class _Step(nn.Module):
    """The language model with its memory as arguments and results, for tracing."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.decoder = model.model.language_model
        self.table = model.get_input_embeddings()
        self.head = model.get_output_embeddings()

    def forward(
        self,
        input_ids: torch.Tensor,
        film_tokens: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        beam_idx: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Return logits and the keys and values of every layer."""
        size = self.table.weight.shape[0]
        words = self.table(input_ids.clamp(max=size - 1))
        films = film_tokens[(input_ids - size).clamp(min=0)]
        cache = DynamicCache()
        for keys, values in zip(past[::2], past[1::2], strict=True):
            layer = DynamicLayer()
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys[beam_idx], values[beam_idx]
            cache.layers.append(layer)
        outputs = self.decoder(
            inputs_embeds=torch.where((input_ids < size)[..., None], words, films),
            attention_mask=_causal_mask(attention_mask, input_ids.shape[1]),
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        memory = [part for layer in cache.layers for part in (layer.keys, layer.values)]
        return self.head(outputs.last_hidden_state[:, -1]), *memory


def _causal_mask(attention_mask: torch.Tensor, num_new: int) -> torch.Tensor:
    """Return (B, 1, T, past + T): what each new token reads.

    Padding reads itself, or its softmax over nothing would be no number and spread through the memory.
    """
    read = torch.arange(attention_mask.shape[1])[None]
    reading = (torch.arange(num_new) + (attention_mask.shape[1] - num_new))[:, None]
    seen = (read <= reading)[None] & (attention_mask[:, None] > 0)
    return (seen | (read == reading)[None])[:, None]


def language_model_graph(model: PreTrainedModel) -> Any:
    """Return the language model of a vision-language model as an `openvino.Model`.

    Raises:
        CheckpointError: OpenVINO cannot express it, or it attends within a sliding window.
    """
    openvino = import_openvino()
    config = model.config.get_text_config()
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        raise CheckpointError(
            f"A language model of type '{config.model_type}' with sliding windows cannot be written for the engine "
            "'openvino'. Export it for 'vllm' or 'llama-cpp', or draft with the checkpoint itself."
        )
    num_layers, heads = config.num_hidden_layers, getattr(config, "num_key_value_heads", config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    past = [torch.zeros(2, heads, 4, width, dtype=model.dtype) for _ in range(2 * num_layers)]
    example = (
        torch.zeros(2, 3, dtype=torch.long),
        torch.zeros(5, config.hidden_size, dtype=model.dtype),
        torch.ones(2, 7, dtype=torch.long),
        torch.arange(4, 7).expand(2, 3).contiguous(),
        torch.arange(2),
        *past,
    )
    attention = config._attn_implementation
    model.model.language_model.set_attn_implementation("sdpa")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, of shapes that it takes for constants
            graph = openvino.convert_model(_Step(model).eval(), example_input=example)
    except Exception as error:  # OpenVINO's own class differs between versions
        raise CheckpointError(
            f"OpenVINO cannot express a language model of type '{config.model_type}': {str(error).splitlines()[0][:200]}"
        ) from None
    finally:
        model.model.language_model.set_attn_implementation(attention)
    shapes = [[-1, -1], [-1, config.hidden_size], [-1, -1], [-1, -1], [-1], *([[-1, heads, -1, width]] * len(past))]
    _name(graph, shapes, num_layers)
    _remember(graph, num_layers)
    return graph


def _name(graph: Any, shapes: list[list[int]], num_layers: int) -> None:
    """Give inputs and outputs their names, and inputs their open shapes and element types."""
    openvino = import_openvino()
    memory = [f"{layer}.{part}" for layer in range(num_layers) for part in ("keys", "values")]
    for port, name, shape in zip(graph.inputs, [*_INPUTS, *(f"past.{name}" for name in memory)], shapes, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(openvino.PartialShape(shape))
        if name in ("input_ids", "attention_mask", "position_ids", "beam_idx"):
            port.get_node().set_element_type(openvino.Type.i64)
    for port, name in zip(graph.outputs, ["logits", *(f"present.{name}" for name in memory)], strict=True):
        port.get_tensor().set_names({name})
    graph.validate_nodes_and_infer_types()


def _remember(graph: Any, num_layers: int) -> None:
    """Keep keys and values within the graph, empty for every row at the start."""
    import_openvino()
    from openvino import opset13 as ops
    from openvino._offline_transformations import apply_make_stateful_transformation

    memory = [f"{layer}.{part}" for layer in range(num_layers) for part in ("keys", "values")]
    apply_make_stateful_transformation(graph, {f"past.{name}": f"present.{name}" for name in memory})
    rows = ops.shape_of(graph.input("beam_idx"), output_type="i64")
    for op in graph.get_ops():
        if op.get_type_name() == "ReadValue":
            _, heads, _, width = op.get_output_partial_shape(0)
            parts = [rows, *(ops.constant([size]) for size in (heads.get_length(), 0, width.get_length()))]
            zero = ops.constant(0.0, dtype=op.get_output_element_type(0))
            op.set_arguments([ops.broadcast(zero, ops.concat(parts, axis=0))])
    graph.validate_nodes_and_infer_types()
