"""The mmproj file: llama.cpp's own code computes the tokens that torch does, or says beforehand that it cannot."""

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_void_p
from functools import cache

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import LANGUAGE_MODEL, REPORTS, make_card, make_report_model
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.data.images import ImageSettings, to_pixel_values
from radlet.models.report_model import ReportModel, assemble

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

from radlet.inference.llama_cpp.files import write_language_model
from radlet.inference.llama_cpp.library import library
from radlet.inference.llama_cpp.projector import PROJECTOR, problem_with_projector, write_projector

QUIET = Progress(quiet=True)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}


class Params(ctypes.Structure):
    """`struct mtmd_context_params` of mtmd.h."""

    _fields_ = (
        ("use_gpu", c_bool),
        ("device", c_void_p),
        ("print_timings", c_bool),
        ("n_threads", c_int32),
        ("image_marker", c_char_p),
        ("media_marker", c_char_p),
        ("flash_attn_type", c_int32),
        ("warmup", c_bool),
        ("image_min_tokens", c_int32),
        ("image_max_tokens", c_int32),
        ("cb_eval", c_void_p),
        ("cb_eval_user_data", c_void_p),
        ("batch_max_tokens", c_int32),
        ("progress_callback", c_void_p),
        ("progress_callback_user_data", c_void_p),
    )


class Text(ctypes.Structure):
    """`struct mtmd_input_text` of mtmd.h."""

    _fields_ = (("text", c_char_p), ("text_len", c_size_t), ("add_special", c_bool), ("parse_special", c_bool))


FUNCTIONS = {
    "mtmd_context_params_default": (Params, []),
    "mtmd_init_from_file": (c_void_p, [c_char_p, c_void_p, Params]),
    "mtmd_free": (None, [c_void_p]),
    "mtmd_log_set": (None, [c_void_p, c_void_p]),
    "mtmd_bitmap_init": (c_void_p, [c_uint32, c_uint32, c_void_p]),
    "mtmd_bitmap_free": (None, [c_void_p]),
    "mtmd_input_chunks_init": (c_void_p, []),
    "mtmd_input_chunks_get": (c_void_p, [c_void_p, c_size_t]),
    "mtmd_input_chunks_free": (None, [c_void_p]),
    "mtmd_tokenize": (c_int32, [c_void_p, c_void_p, POINTER(Text), POINTER(c_void_p), c_size_t]),
    "mtmd_encode_chunk": (c_int32, [c_void_p, c_void_p]),
    "mtmd_get_output_embd": (POINTER(c_float), [c_void_p]),
}
SAY_NOTHING = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)(lambda _level, _text, _data: None)


@cache
def mtmd():
    opened = library()
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(opened, name)
        function.restype, function.argtypes = result, arguments
    opened.mtmd_log_set(ctypes.cast(SAY_NOTHING, c_void_p), None)
    return opened


def tokens_of(folder, film):
    """Return what llama.cpp's own code makes of a film (S, S) of grey: (tokens, D)."""
    opened = mtmd()
    model = opened.llama_model_load_from_file(
        str(folder / "language_model.gguf").encode(), opened.llama_model_default_params()
    )
    params = opened.mtmd_context_params_default()
    params.use_gpu, params.n_threads, params.warmup, params.flash_attn_type = False, 1, False, 0
    context = opened.mtmd_init_from_file(str(folder / PROJECTOR).encode(), model, params)
    assert context, "llama.cpp cannot load the file"
    pixels = np.ascontiguousarray(np.repeat(film[..., None], 3, axis=-1))
    bitmap = opened.mtmd_bitmap_init(*film.shape[::-1], pixels.ctypes.data)
    chunks = opened.mtmd_input_chunks_init()
    marker = b"<__media__>"
    bitmaps = (c_void_p * 1)(bitmap)
    assert opened.mtmd_tokenize(context, chunks, Text(marker, len(marker), False, False), bitmaps, 1) == 0
    assert opened.mtmd_encode_chunk(context, opened.mtmd_input_chunks_get(chunks, 0)) == 0
    rows = np.ctypeslib.as_array(opened.mtmd_get_output_embd(context), (16, 16)).copy()
    opened.mtmd_input_chunks_free(chunks)
    opened.mtmd_bitmap_free(bitmap)
    opened.mtmd_free(context)
    opened.llama_model_free(model)
    return rows


def model_with(tower, layer: int = -2) -> ReportModel:
    settings = ImageSettings(size_px=32, resize="squash")
    card = make_card().model_copy(update={"feature_layer": layer, "image": settings.model_dump(mode="json")})
    torch.manual_seed(0)
    language_model, tokenizer = LANGUAGE_MODEL.build(lambda: REPORTS * 20)
    report_model = assemble(tower.eval(), language_model, tokenizer, card)
    parts = (report_model.model.model.vision_tower, report_model.model.model.multi_modal_projector)
    with torch.no_grad():  # far from 0 and 1, so that nothing left out goes unseen
        for parameter in (parameter for part in parts for parameter in part.parameters()):
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (parameter.ndim == 1) * 0.2)
    return report_model


def clip() -> ReportModel:
    return model_with(CLIPVisionModel(CLIPVisionConfig(**SIZES)))


def siglip(layer: int = -2) -> ReportModel:
    return model_with(SiglipVisionModel(SiglipVisionConfig(**SIZES)), layer)


def difference(report_model: ReportModel, quantization: str, folder) -> float:
    """Return by how much llama.cpp's tokens of a film differ from torch's at most, in standard deviations of them."""
    write_language_model(report_model, folder / "language_model.gguf", "F32", QUIET)
    write_projector(report_model, folder / PROJECTOR, quantization, QUIET)
    film = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    pixels = torch.from_numpy(to_pixel_values(film, ImageSettings.model_validate(report_model.card.image)))
    with torch.no_grad():
        wanted = report_model.model.model.get_image_features(pixel_values=pixels[None]).pooler_output[0].numpy()
    return float(np.abs(tokens_of(folder, film) - wanted).max() / wanted.std())


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_llama_cpp_computes_the_tokens_that_torch_does(layer, tmp_path):
    # What is left is GELU of the projector, which llama.cpp takes by tanh and from a table of 16-bit values.
    assert difference(siglip(layer), "F32", tmp_path) < 0.01


def test_sixteen_bits_round_little(tmp_path):
    assert difference(siglip(), "Q8_0", tmp_path) < 0.02


def test_clip_is_refused_for_as_long_as_llama_cpp_misplaces_its_class_token(tmp_path, monkeypatch):
    assert "class token" in problem_with_projector(clip())
    with pytest.raises(CheckpointError, match="class token"):
        write_projector(clip(), tmp_path / PROJECTOR, "F32", QUIET)
    # Once a version of the library computes it rightly, this fails, and the refusal is to go.
    monkeypatch.setattr("radlet.inference.llama_cpp.projector._MISTAKEN", {})
    assert difference(clip(), "F32", tmp_path) > 0.5


def test_what_llama_cpp_does_not_know_is_named():
    assert "type 'dpt'" in problem_with_projector(make_report_model())
    other = siglip()
    other.model.config.vision_config.hidden_act = "silu"
    assert "'silu'" in problem_with_projector(other)
    other = siglip()
    other.model.config.vision_feature_layer = [1, 2]
    assert "one hidden state" in problem_with_projector(other)
