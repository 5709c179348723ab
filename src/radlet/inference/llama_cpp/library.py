"""The C functions of llama.cpp, as its prebuilt library exports them.

The package xllamacpp carries that library and keeps its C names visible, which its own Python interface does not reach:
embeddings in, logits out. Structures are passed by value, so their layout must be that of the library; it is checked
against known default values when the library is opened.
"""

import ctypes
import importlib.util
from ctypes import POINTER, Structure, c_bool, c_char_p, c_float, c_int8, c_int32, c_int64, c_size_t, c_uint32, c_void_p
from functools import cache
from importlib.metadata import version
from pathlib import Path

from radlet.core.errors import CheckpointError

PACKAGE = "xllamacpp"
F32, F16 = 0, 1
"""Numbers of two element types (`enum ggml_type`)."""


class ModelParams(Structure):
    """`struct llama_model_params` of llama.h."""

    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("split_mode", c_int32),
        ("load_mode", c_int32),
        ("lazy_mode", c_int32),
        ("main_gpu", c_int32),
        ("tensor_split", c_void_p),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
        ("kv_overrides", c_void_p),
        ("vocab_only", c_bool),
        ("check_tensors", c_bool),
        ("use_extra_bufts", c_bool),
        ("no_host", c_bool),
        ("no_alloc", c_bool),
        ("load_mtp", c_bool),
    )


class ContextParams(Structure):
    """`struct llama_context_params` of llama.h."""

    _fields_ = (
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("n_rs_seq", c_uint32),
        ("n_outputs_max", c_uint32),
        ("n_outputs_max_per_seq", c_uint32),
        ("n_threads", c_int32),
        ("n_threads_batch", c_int32),
        ("ctx_type", c_int32),
        ("rope_scaling_type", c_int32),
        ("pooling_type", c_int32),
        ("attention_type", c_int32),
        ("flash_attn_type", c_int32),
        ("rope_freq_base", c_float),
        ("rope_freq_scale", c_float),
        ("yarn_ext_factor", c_float),
        ("yarn_attn_factor", c_float),
        ("yarn_beta_fast", c_float),
        ("yarn_beta_slow", c_float),
        ("yarn_orig_ctx", c_uint32),
        ("defrag_thold", c_float),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("type_k", c_int32),
        ("type_v", c_int32),
        ("moe_cache_size", c_size_t),
        ("abort_callback", c_void_p),
        ("abort_callback_data", c_void_p),
        ("embeddings", c_bool),
        ("offload_kqv", c_bool),
        ("no_perf", c_bool),
        ("op_offload", c_bool),
        ("swa_full", c_bool),
        ("kv_unified", c_bool),
        ("samplers", c_void_p),
        ("n_samplers", c_size_t),
        ("ctx_other", c_void_p),
    )


class Batch(Structure):
    """`struct llama_batch` of llama.h: tokens or embeddings, each with its position and sequence."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(c_void_p)),
        ("logits", POINTER(c_int8)),
    )


_FUNCTIONS = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [c_void_p, c_void_p]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "llama_model_free": (None, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_tokenize": (
        c_int32,
        [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool],
    ),
    "llama_init_from_model": (c_void_p, [c_void_p, ContextParams]),
    "llama_free": (None, [c_void_p]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits": (c_void_p, [c_void_p]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
    "llama_memory_seq_cp": (None, [c_void_p, c_int32, c_int32, c_int32, c_int32]),
    "ggml_row_size": (c_size_t, [c_int32, c_int64]),
    "ggml_quantize_chunk": (
        c_size_t,
        [c_int32, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p],
    ),
}
"""Name -> what it returns and takes."""

_SAY_NOTHING = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)(lambda _level, _text, _data: None)
"""Drops llama.cpp's running commentary; its return codes tell what went wrong."""


@cache
def library() -> ctypes.CDLL:
    """Open the library once and make it quiet.

    Raises:
        ModuleNotFoundError: The package is not installed.
        CheckpointError: It is another version, with other functions or structures.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named '{PACKAGE}'", name=PACKAGE)
    found = sorted(path for path in Path(spec.origin).parent.iterdir() if path.suffix in {".so", ".pyd", ".dylib"})
    unfit = f"{PACKAGE} {version(PACKAGE)}: is not laid out as the version that this radlet was tested with. "
    unfit += 'Install that one: pip install "radlet[llama-cpp]"'
    try:
        opened = ctypes.CDLL(str(found[0]))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(opened, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, IndexError, OSError):
        raise CheckpointError(unfit) from None
    if not _laid_out_as_declared(opened):
        raise CheckpointError(unfit)
    opened.llama_log_set(ctypes.cast(_SAY_NOTHING, c_void_p), None)
    opened.llama_backend_init()
    return opened


def _laid_out_as_declared(opened: ctypes.CDLL) -> bool:
    """Tell whether default values stand where the structures say: sizes, choices and flags from first to last."""
    context, model = opened.llama_context_default_params(), opened.llama_model_default_params()
    return (
        (context.n_ctx, context.n_batch, context.n_ubatch, context.n_seq_max) == (512, 2048, 512, 1)
        and (context.yarn_beta_fast, context.yarn_beta_slow) == (-1.0, -1.0)
        and (context.type_k, context.type_v) == (F16, F16)
        and (context.embeddings, context.offload_kqv, context.op_offload, context.n_samplers) == (False, True, True, 0)
        and (model.vocab_only, model.check_tensors, model.use_extra_bufts) == (False, False, True)
        and not (model.devices or model.kv_overrides or context.cb_eval or context.ctx_other)
    )
