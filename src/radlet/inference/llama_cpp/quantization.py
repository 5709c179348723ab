"""Weights in the formats of GGUF, by llama.cpp's own quantizer, and which weight takes which format."""

import ctypes
from typing import Literal

import gguf
import numpy as np
from gguf import GGMLQuantizationType as GgmlType
from numpy.typing import NDArray

from radlet.inference.llama_cpp.library import library

Quantization = Literal["F32", "F16", "Q8_0", "Q4_K_M", "Q4_0"]
"""F32 and F16 as they are, Q8_0 and Q4_0 in blocks of 32, Q4_K_M mostly 4.5 bits in blocks of 256."""

_PLAIN = {
    "F32": GgmlType.F32,
    "F16": GgmlType.F16,
    "Q8_0": GgmlType.Q8_0,
    "Q4_0": GgmlType.Q4_0,
    "Q4_K_M": GgmlType.Q4_K,
}
_NARROW = {GgmlType.Q4_K: GgmlType.Q5_0, GgmlType.Q5_K: GgmlType.Q5_1, GgmlType.Q6_K: GgmlType.Q8_0}
"""What takes the place of a format with blocks of 256 where a row is no multiple of it."""
FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    "Q4_0": gguf.LlamaFileType.MOSTLY_Q4_0,
    "Q4_K_M": gguf.LlamaFileType.MOSTLY_Q4_K_M,
}


def choose_type(name: str, shape: tuple[int, ...], quantization: Quantization, num_layers: int, tied: bool) -> GgmlType:
    """Return the format of a weight: the mixture of llama.cpp's own tool.

    Args:
        name: Its name in GGUF.
        shape: Its shape, rows first.
        quantization: What was asked for.
        num_layers: Layers of the model.
        tied: The token embeddings are the output layer, too.
    """
    if len(shape) < 2 or quantization == "F32" or name.startswith("position_embd"):
        return GgmlType.F32
    kind = _PLAIN[quantization]
    if quantization in {"Q4_K_M", "Q4_0"} and (name == "output.weight" or (tied and name == "token_embd.weight")):
        # Where the finest blocks do not fit, llama.cpp gives the output eight bits.
        kind = GgmlType.Q8_0 if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] else GgmlType.Q6_K
    elif quantization == "Q4_K_M" and name.endswith("attn_qkv.weight"):
        kind = GgmlType.Q5_K
    elif quantization == "Q4_K_M" and name.endswith(("attn_v.weight", "ffn_down.weight")):
        kind = GgmlType.Q6_K if _matters_more(int(name.split(".")[1]), num_layers) else kind
    if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = _NARROW.get(kind, GgmlType.F16)
    return GgmlType.F16 if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0] else kind


def encode(weight: NDArray[np.float32], kind: GgmlType) -> NDArray[np.generic]:
    """Return a weight in a format, (rows, bytes of a row) for those in blocks."""
    if kind == GgmlType.F32:
        return np.ascontiguousarray(weight, np.float32)
    if kind == GgmlType.F16:
        return weight.astype(np.float16)
    rows = np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]), np.float32)
    encoded = np.empty((len(rows), library().ggml_row_size(int(kind), rows.shape[1])), np.uint8)
    source, target = (array.ctypes.data_as(ctypes.c_void_p) for array in (rows, encoded))
    library().ggml_quantize_chunk(int(kind), source, target, 0, len(rows), rows.shape[1], None)
    return encoded


def _matters_more(layer: int, num_layers: int) -> bool:
    """Tell whether a layer's values are kept finer: the first and last eighth, and every third between them."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2
