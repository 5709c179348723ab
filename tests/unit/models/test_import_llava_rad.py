"""The importer of LLaVA-Rad: every key is told, foreign or broken files are refused, and nothing half-written stays."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.fixtures.llava_rad_release import (
    ALPHA,
    RANK,
    Release,
    adapter_settings,
    llama_settings,
    pair_settings,
    save_pickle,
    write_json,
    write_release,
)
from transformers import Dinov2Config, LlamaConfig, LlavaConfig
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import CheckpointError, ConfigError
from radlet.models.importers import llava_rad_keys, tensor_files, unpickling
from radlet.models.importers.key_report import KeyReport
from radlet.models.importers.llava_rad_files import LlavaRadFiles
from radlet.models.report_model import load_report_model

TARGETS = {
    "self_attn": {"q_proj": (4096, 4096), "k_proj": (4096, 4096), "v_proj": (4096, 4096), "o_proj": (4096, 4096)},
    "mlp": {"gate_proj": (11008, 4096), "up_proj": (11008, 4096), "down_proj": (4096, 11008)},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("published"), torch.float16)


@pytest.fixture
def files(published: Release, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the published files and of the language model, to be spoiled."""
    shutil.copytree(published.folder, tmp_path / "llava-rad")
    shutil.copytree(published.language_model_dir, tmp_path / "vicuna")
    return tmp_path / "llava-rad", tmp_path / "vicuna"


def run(folder: Path, language_model: Path, *more: str) -> None:
    words = ["import", "llava-rad", str(folder), "--language-model", str(language_model), *more]
    CliRunner().invoke(app, [*words, "--out", str(folder.parent / "out")], catch_exceptions=False)


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


def full_size_encoder() -> dict[str, torch.Tensor]:
    shapes = {"cls_token": (1, 1, 768), "pos_embed": (1, 1370, 768)}
    layers = {"patch_embed.proj": (768, 3, 14, 14), "norm": (768,)}
    for block in range(12):
        inside = {"norm1": (768,), "attn.qkv": (2304, 768), "attn.proj": (768, 768), "norm2": (768,)}
        inside |= {"mlp.fc1": (3072, 768), "mlp.fc2": (768, 3072)}
        layers |= {f"blocks.{block}.{name}": shape for name, shape in inside.items()}
        shapes |= {f"blocks.{block}.ls{number}.gamma": (768,) for number in (1, 2)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {f"module.visual.trunk.{name}": meta(*shape) for name, shape in shapes.items()}


def test_every_key_of_the_full_size_finds_its_place() -> None:
    """12 blocks of 768, 32 layers of 4096, 448 tensors of rank 64: names and shapes alone, no memory."""
    where, report = Path("published"), KeyReport()
    trunk, written = llava_rad_keys.map_encoder(where, full_size_encoder(), report)
    projector = {
        f"base_model.model.model.mm_projector.{n}": meta(4096, w) for n, w in (("0.weight", 768), ("2.weight", 4096))
    }
    projector |= {f"base_model.model.model.mm_projector.{n}.bias": meta(4096) for n in (0, 2)}
    written |= llava_rad_keys.map_projector(where, projector, report)
    linear = {
        f"model.layers.{layer}.{part}.{name}.weight": shape
        for layer in range(32)
        for part, inside in TARGETS.items()
        for name, shape in inside.items()
    }
    vicuna = {"model.embed_tokens.weight": (32000, 4096), "lm_head.weight": (32000, 4096), "model.norm.weight": (4096,)}
    norms = ("input_layernorm", "post_attention_layernorm")
    vicuna |= linear | {f"model.layers.{layer}.{norm}.weight": (4096,) for layer in range(32) for norm in norms}
    updates = {
        f"base_model.model.{name.removesuffix('.weight')}.lora_{half}.weight": meta(*shape)
        for name, (rows, columns) in linear.items()
        for half, shape in (("A", (64, columns)), ("B", (rows, 64)))
    }
    assert len(updates) == 448
    names = [name for inside in TARGETS.values() for name in inside]
    assert set(llava_rad_keys.pair_updates(where, updates, vicuna, 64, names, report)) == set(linear)
    assert sum(tensor.numel() for tensor in projector.values()) == 3_149_824 + 16_781_312  # 19,931,136 as published
    shapes = {name: tuple(tensor.shape) for name, tensor in written.items()}
    shapes |= {f"language_model.{name}": shape for name, shape in vicuna.items()}
    vision = Dinov2Config(image_size=518, use_mask_token=False)
    config = LlavaConfig(vision_config=vision, text_config=LlamaConfig(), image_token_index=0, vision_feature_layer=-2)
    llava_rad_keys.check_complete(where, config, shapes)
    assert {group: sum(counts.values()) for group, counts in report.counts().items()} == {
        "encoder": len(trunk), "projector": 4, "updates": 448,
    }  # fmt: skip
    shapes.pop("language_model.lm_head.weight")
    with pytest.raises(CheckpointError, match=r"language_model\.lm_head\.weight is missing"):
        llava_rad_keys.check_complete(where, config, shapes)


def test_half_precision_shards_and_pickled_language_model(
    published: Release, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, language_model = files
    weights = load_file(language_model / "model.safetensors")
    (language_model / "model.safetensors").unlink()
    halves = [dict(list(weights.items())[part::2]) for part in range(2)]
    weight_map = {name: f"pytorch_model-{part}.bin" for part, half in enumerate(halves) for name in half}
    for part, half in enumerate(halves):
        save_pickle(language_model / f"pytorch_model-{part}.bin", half)
    write_json(language_model / "pytorch_model.bin.index.json", {"weight_map": weight_map})
    monkeypatch.setattr(tensor_files, "MAX_SHARD_BYTES", 30_000)
    run(folder, language_model)
    out = folder.parent / "out"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["llava-rad", "out", "vicuna"]
    assert len(list(out.glob("model-*.safetensors"))) > 3
    model = load_report_model(out).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    name = "model.layers.1.mlp.down_proj"
    down, up = (published.updates[f"base_model.model.{name}.lora_{half}.weight"] for half in "AB")
    exact = published.language_model[f"{name}.weight"].float() + ALPHA / RANK * up @ down
    merged = model.get_submodule("model.language_model.layers.1.mlp.down_proj").weight
    assert torch.equal(merged, exact.half())
    report = json.loads((out / "import.json").read_text())
    told = [row["source"] for row in report["keys"]]
    assert len(told) == len(set(told))
    every = {*published.encoder, *published.projector, *published.updates, *published.language_model}
    beside = {f"biomedclipcxr_518_checkpoint.pt: {name}" for name in ("epoch", "name", "best", "optimizer")}
    assert set(told) == every | beside
    targets = [target for row in report["keys"] if row["outcome"] == "mapped" for target in row["targets"]]
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert sorted(targets) == sorted(index["weight_map"])
    assert {one["file"] for one in report["sources"]} >= {"adapter_model.bin", "pytorch_model-1.bin", "config.json"}
    with pytest.raises(ConfigError, match="is there already"):
        run(folder, language_model)


def without(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, language_model: (folder / name).unlink()


def settings(name: str, content: dict[str, object]) -> Callable[[Path, Path], None]:
    return lambda folder, language_model: write_json(folder / name, content)


SPOILED = {
    "no-encoder": (without("biomedclipcxr_518_checkpoint.pt"), "holds no biomedclipcxr_518_checkpoint"),
    "no-projector": (without("non_lora_trainables.bin"), "holds no non_lora_trainables"),
    "no-updates": (without("adapter_model.bin"), "holds no adapter_model"),
    "no-config": (without("config.json"), "holds no config.json"),
    "no-rank": (settings("adapter_config.json", {"lora_alpha": 8}), "no rank r, lora_alpha"),
    "rank-of-another-type": (settings("adapter_config.json", adapter_settings() | {"r": True}), "no rank r"),
    "settings-of-another-type": (
        lambda folder, language_model: write_json(
            language_model / "config.json", {"model_type": "llama", "hidden_size": "x"}
        ),
        "holds no language model",
    ),
    "no-image-size": (settings("biomedclipcxr_518.json", {"vision_cfg": []}), "tells no vision_cfg with image_size"),
    "no-files-in-index": (
        lambda folder, language_model: write_json(
            language_model / "model.safetensors.index.json", {"weight_map": {"a": 3}}
        ),
        "tells of no files",
    ),
    "dora": (settings("adapter_config.json", adapter_settings() | {"use_dora": True}), "use_dora = True"),
    "another-llava": (
        settings("config.json", {"mm_hidden_size": 24, "mm_vision_select_layer": -1}),
        "mm_vision_select_layer is -1 instead of -2",
    ),
    "wrong-language-model": (
        settings("config.json", llama_settings(300) | {"mm_hidden_size": 24, "hidden_size": 4096}),
        "hidden_size is 4096, and 32 in the language model",
    ),
    "another-base-of-positions": (
        settings("config.json", llama_settings(300) | {"mm_hidden_size": 24, "rope_theta": 5e5}),
        "rope_theta of the positions is 500000.0, and 10000.0 in the language model",
    ),
    "stretched-positions": (
        settings(
            "config.json",
            llama_settings(300) | {"mm_hidden_size": 24, "rope_scaling": {"type": "linear", "factor": 2.0}},
        ),
        "factor of the positions is 2.0, and None in the language model",
    ),
    "another-tower": (
        settings(
            "biomedclipcxr_518.json",
            {**pair_settings(), "vision_cfg": {"timm_model_name": "resnet50", "image_size": 8}},
        ),
        "names the image encoder 'resnet50'",
    ),
    "cut-settings": (
        lambda folder, language_model: (folder / "adapter_config.json").write_text('{"r": '),
        "is no JSON file, or is cut short",
    ),
    "no-folder": (lambda folder, language_model: shutil.rmtree(language_model), "is no folder"),
    "no-weights": (
        lambda folder, language_model: (language_model / "model.safetensors").unlink(),
        "holds no model.safetensors and no pytorch_model.bin",
    ),
    "no-tokenizer": (
        lambda folder, language_model: [(path).unlink() for path in language_model.glob("tokenizer*")],
        "no tokenizer could be loaded",
    ),
}


@pytest.mark.parametrize("name", sorted(SPOILED))
def test_what_is_missing_or_foreign_is_refused_in_one_line(
    name: str, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil, said = SPOILED[name]
    spoil(*files)
    # The pickled files themselves are sound here; what reads them has tests of its own below.
    monkeypatch.setattr("radlet.models.importers.llava_rad.unpickle_all", in_this_process)
    with pytest.raises(CheckpointError, match=said) as refusal:
        run(*files)
    assert "\n" not in str(refusal.value)
    assert not list(files[0].parent.glob("*out*"))


def in_this_process(sources: list[Path], folder: Path) -> dict[Path, unpickling.UnpickledFile]:
    found = {}
    for number, source in enumerate(sources):
        answer = unpickling._convert(source, folder / str(number))
        parts = tuple(folder / str(number) / name for name in answer["parts"])
        found[source] = unpickling.UnpickledFile(parts, tuple(answer["left_out"]))
    return found


def spoil_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    content = torch.load(path, weights_only=True)  # noqa: TID251
    change(content)
    save_pickle(path, content)


LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
FOREIGN = {
    "rank": (
        "adapter_model.bin",
        lambda state: state.update({f"{LAYER}.lora_A.weight": torch.zeros(2, 32)}),
        r"lora_A\.weight is \(2, 32\) instead of \(4, 32\), rank 4",
    ),
    "lacking-layer": (
        "adapter_model.bin",
        lambda state: [state.pop(f"{LAYER}.lora_{half}.weight") for half in "AB"],
        r"q_proj\.lora_A\.weight is missing",
    ),
    "not-finite": (
        "adapter_model.bin",
        lambda state: state[f"{LAYER}.lora_A.weight"].fill_(float("nan")),
        "holds numbers that are not finite",
    ),
    "integers": (
        "non_lora_trainables.bin",
        lambda state: state.update({name: tensor.to(torch.int8) for name, tensor in state.items()}),
        r"holds torch\.int8",
    ),
    "half": ("adapter_model.bin", lambda state: state.pop(f"{LAYER}.lora_B.weight"), "without its other half"),
    "elsewhere": (
        "adapter_model.bin",
        lambda state: state.update({"base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": torch.zeros(4, 32)}),
        r"no weight model\.layers\.9\.mlp\.up_proj\.weight",
    ),
    "unknown-update": ("adapter_model.bin", lambda state: state.update({"extra": torch.zeros(1)}), "extra is unknown"),
    "unknown-projector": (
        "non_lora_trainables.bin",
        lambda state: state.update({"norm.weight": torch.zeros(1)}),
        r"norm\.weight is unknown",
    ),
    "lacking-projector": (
        "non_lora_trainables.bin",
        lambda state: state.pop("base_model.model.model.mm_projector.2.bias"),
        r"mm_projector\.2\.bias is missing",
    ),
    "projector-shape": (
        "non_lora_trainables.bin",
        lambda state: state.update({"base_model.model.model.mm_projector.2.bias": torch.zeros(5)}),
        r"multi_modal_projector\.linear_2\.bias is \(5,\) instead of \(32,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_keys_that_do_not_fit_are_refused_by_name(
    name: str, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, change, said = FOREIGN[name]
    spoil_tensors(files[0] / file, change)
    monkeypatch.setattr("radlet.models.importers.llava_rad.unpickle_all", in_this_process)
    with pytest.raises(CheckpointError, match=said):
        run(*files)
    assert not list(files[0].parent.glob("*out*"))


def test_an_unknown_key_of_the_encoder_is_refused() -> None:
    for name, said in (("module.visual.trunk.reg_token", "reg_token is unknown"), ("module.other", "other is unknown")):
        with pytest.raises(CheckpointError, match=said):
            llava_rad_keys.map_encoder(Path("x"), full_size_encoder() | {name: meta(1)}, KeyReport())
    with pytest.raises(CheckpointError, match=r"not every key starts with 'module\."):
        llava_rad_keys.map_encoder(Path("x"), {"visual.trunk.cls_token": meta(1, 1, 8)}, KeyReport())


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("harm",)


def test_code_in_a_pickle_is_not_run(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files[0].parent)
    save_pickle(files[0] / "adapter_model.bin", {"weight": Hostile()})
    with pytest.raises(CheckpointError, match=r"adapter_model\.bin: holds posix\.mkdir, which is neither a tensor"):
        run(*files)
    assert not (files[0].parent / "harm").exists()
    assert not list(files[0].parent.glob("*out*"))


def test_numbers_of_an_older_numpy_beside_the_weights_are_read(tmp_path: Path) -> None:
    save_pickle(tmp_path / "new.pt", {"state_dict": {"weight": torch.ones(2)}, "best": np.float64(0.5)})
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for entry in new.infolist():
            old.writestr(entry, new.read(entry).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    answer = unpickling._convert(tmp_path / "old.pt", tmp_path / "out")
    assert answer == {"parts": ["part-00000.safetensors"], "left_out": ["best"]}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no weights"], ids=["empty", "cut", "text"])
def test_what_is_no_pickle_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    assert "damaged or cut short" in unpickling._convert(tmp_path / "x.bin", tmp_path / "out")["error"]


def test_a_cut_file_is_refused(published: Release, tmp_path: Path) -> None:
    whole = (published.folder / "biomedclipcxr_518_checkpoint.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut short" in unpickling._convert(tmp_path / "x.pt", tmp_path / "out")["error"]


def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path) -> None:
    save_pickle(tmp_path / "x.bin", {"epoch": 3})
    assert "'epoch' is no tensor" in unpickling._convert(tmp_path / "x.bin", tmp_path / "out")["error"]


def test_large_files_become_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickling, "MAX_PART_BYTES", 40)
    state = {f"t{number}": torch.full((8,), float(number)) for number in range(3)}
    save_pickle(tmp_path / "x.bin", state)
    answer = unpickling._convert(tmp_path / "x.bin", tmp_path / "out")
    assert len(answer["parts"]) == 3
    read = tensor_files.TensorFiles(tmp_path / "out" / name for name in answer["parts"]).all()
    assert all(torch.equal(read[name], tensor) for name, tensor in state.items())


def test_a_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_file({"weight": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"weight stands in a\.safetensors too"):
        tensor_files.TensorFiles([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])


def test_the_configurations_are_read_as_published(published: Release) -> None:
    files = LlavaRadFiles.read(published.folder, published.language_model_dir)
    assert (files.rank, files.alpha, files.size_px, files.num_heads) == (RANK, ALPHA, 56, 12)
