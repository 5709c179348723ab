"""GGUF files: every architecture gives transformers' logits, tokenizers cut texts alike, formats follow llama.cpp."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import ENCODER, REPORTS, make_card, make_report_model
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.models.report_model import ReportModel, assemble
from radlet.models.tokenizers import train_tokenizer

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

from radlet.inference.llama_cpp.decoder import Decoder, Run  # noqa: E402
from radlet.inference.llama_cpp.files import write_language_model  # noqa: E402
from radlet.inference.llama_cpp.library import library  # noqa: E402
from radlet.inference.llama_cpp.quantization import choose_type, encode  # noqa: E402

QUIET = Progress(quiet=True)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
FAMILIES = {
    "llama": ("llama", {}),
    "llama-untied-wide-heads": ("llama", {"head_dim": 16, "tie_word_embeddings": False}),
    "llama3-rope": ("llama", {"rope_parameters": LLAMA3}),
    "mistral": ("mistral", {"sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "gemma3": (
        "gemma3_text",
        {"head_dim": 16, "query_pre_attn_scalar": 16, "num_hidden_layers": 6, "sliding_window": 8},
    ),
    "phi3": ("phi3", {"pad_token_id": 0}),
    "gpt2": ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "tie_word_embeddings": False}),
}


def model_of(model_type: str, options: dict[str, object]) -> ReportModel:
    tokenizer = train_tokenizer(REPORTS * 20, 300)
    sizes = {} if model_type == "gpt2" else SIZES
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type, **{**sizes, **options}, vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2
    )
    language_model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # far from 0 and 1, so that nothing left out goes unseen
        for parameter in language_model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return assemble(ENCODER.build(32), language_model, tokenizer, make_card())


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    report_model = model_of(*FAMILIES[family])
    write_language_model(report_model, tmp_path / "model.gguf", "F32", QUIET)
    decoder = Decoder(tmp_path / "model.gguf", 1, exact=True)
    decoder.make_room(1, 64)
    ids = np.arange(5, 45, dtype=np.int32)
    found = decoder.read([Run(0, 0, ids, every=True)])
    with torch.no_grad():
        expected = report_model.model(input_ids=torch.from_numpy(ids)[None].long()).logits[0].numpy()
    # llama.cpp takes GELU from a table of 16-bit values; what has another activation agrees to the last digits.
    bound = 5e-3 if family in {"gemma3", "gpt2"} else 1e-4
    assert np.abs(found - expected).max() < bound * np.abs(expected).max()


@pytest.mark.parametrize(
    ("model_type", "options", "word"),
    [
        ("olmo2", {}, "type 'olmo2'"),
        ("mistral", {"sliding_window": 16}, "looks back 16 tokens"),
        ("gemma3_text", {"head_dim": 16, "query_pre_attn_scalar": 64}, "query_pre_attn_scalar 64"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "'dynamic'"),
    ],
    ids=["type", "window", "scale", "rope"],
)
def test_what_would_be_read_otherwise_is_refused(
    model_type: str, options: dict[str, object], word: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=word):
        write_language_model(model_of(model_type, options), tmp_path / "model.gguf", "F32", QUIET)


def tokens_by_llama_cpp(path: Path, text: str) -> list[int]:
    functions = library()
    params = functions.llama_model_default_params()
    params.vocab_only = True
    model = functions.llama_model_load_from_file(str(path).encode(), params)
    ids = (ctypes.c_int32 * 200)()
    data = text.encode()
    count = functions.llama_tokenize(functions.llama_model_get_vocab(model), data, len(data), ids, 200, True, True)
    functions.llama_model_free(model)
    return list(ids[:count])


def sentence_pieces() -> PreTrainedTokenizerFast:
    """A tokenizer of the kind of Llama 2: byte-pair merges over metaspaces, bytes for what is unknown."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.ByteFallback()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "<image>"]
    tokenizer.train_from_iterator(
        REPORTS * 20, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_llama_cpp_cuts_texts_as_the_tokenizer_does(kind: str, tmp_path: Path) -> None:
    report_model = make_report_model()
    if kind == "pieces":
        tokenizer = sentence_pieces()
        report_model.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        report_model = ReportModel(report_model.model, tokenizer, report_model.card)
    write_language_model(report_model, tmp_path / "model.gguf", "F16", QUIET)
    for text in (*REPORTS, "Left  effusion, 3.5 cm (old).", "It's naïve: ± 10 %"):
        assert tokens_by_llama_cpp(tmp_path / "model.gguf", text) == report_model.tokenizer(text)["input_ids"]


def test_formats_are_those_of_llama_cpps_own_tool() -> None:
    kinds = {
        name: choose_type(name, (512, width), "Q4_K_M", 8, tied=True).name
        for name, width in {
            "token_embd.weight": 512,
            "blk.0.attn_v.weight": 512,
            "blk.1.attn_v.weight": 512,
            "blk.3.ffn_down.weight": 1024,
            "blk.0.attn_q.weight": 576,
            "blk.0.attn_k.weight": 48,
        }.items()
    }
    assert list(kinds.values()) == ["Q6_K", "Q6_K", "Q4_K", "Q6_K", "Q5_0", "F16"]
    assert choose_type("blk.0.attn_norm.weight", (512,), "Q8_0", 8, tied=True).name == "F32"


@pytest.mark.parametrize(("kind", "bound"), [("Q8_0", 0.006), ("Q6_K", 0.03), ("Q4_K", 0.1), ("Q4_0", 0.13)])
def test_formats_keep_weights_within_their_bound(kind: str, bound: float) -> None:
    weights = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
    encoded = encode(weights, gguf.GGMLQuantizationType[kind])
    kept = gguf.dequantize(encoded, gguf.GGMLQuantizationType[kind])
    assert np.sqrt(np.mean((kept - weights) ** 2)) < bound
