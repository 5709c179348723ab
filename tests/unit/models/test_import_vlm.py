"""Importing published vision-language models: what is taken over, what is told, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.fixtures.vision_language import SIZE_PX, write_gemma3, write_llava, write_original_llava, write_qwen2_5_vl
from transformers import AutoTokenizer, CLIPVisionModel, LlamaForCausalLM

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError, UnknownNameError
from radlet.core.runs import run_digest
from radlet.data.images import load_pixel_values
from radlet.data.square_films import SquareChoice, dynamic_settings, fixed_settings
from radlet.inference.drafter import Drafter
from radlet.models.importers import original_llava, unpickling, vlm
from radlet.models.importers.llava_rad import ImagePath
from radlet.models.importers.unpickling import UnpickledFile
from radlet.models.importers.vlm import VlmImport, import_vlm


def run_import(
    source: Path, out: Path, tower: Path | None = None, family: str | None = None, **choice: object
) -> dict[str, dict[str, int]]:
    def image_path(folder, architecture, config):
        stride_px, asked = architecture.stride_px(config), SquareChoice(**choice)
        if stride_px is None:
            settings = fixed_settings(folder, config.vision_config.image_size, asked)
        else:
            settings = dynamic_settings(folder, stride_px, asked)
        return ImagePath(settings.model_dump(mode="json"), settings.digest, {})

    return import_vlm(VlmImport(source, tower, family, "frontal", image_path), out, Progress(quiet=True)).counts()


@pytest.fixture
def unpickled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read pickled files in this process: that another one does is tested elsewhere, and takes seconds a file."""

    def unpickle_here(source: Path, folder: Path) -> UnpickledFile:
        answer = unpickling._convert(source, folder)
        return UnpickledFile(tuple(folder / name for name in answer["parts"]), answer["left_out"])

    monkeypatch.setattr(vlm, "unpickle", unpickle_here)
    monkeypatch.setattr(original_llava, "unpickle", unpickle_here)


def change_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.fixture
def llava(tmp_path: Path) -> Path:
    write_llava(tmp_path / "published")
    return tmp_path / "published"


def test_weights_are_linked_and_every_key_is_told(llava: Path, tmp_path: Path) -> None:
    counts = run_import(llava, tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").samefile(llava / "model.safetensors")
    report = json.loads((tmp_path / "out" / "import.json").read_text())
    assert {row["source"] for row in report["keys"]} == set(load_file(llava / "model.safetensors"))
    assert set(counts) == {"encoder", "projector", "language model"}
    assert run_digest(tmp_path / "out")
    assert Drafter.load(tmp_path / "out").card.prompt.template == "USER: {images}\n{question} ASSISTANT:"


@pytest.mark.usefixtures("unpickled_here")
def test_pickled_weights_become_safetensors(llava: Path, tmp_path: Path) -> None:
    weights = load_file(llava / "model.safetensors")
    torch.save(weights, llava / "pytorch_model.bin")  # noqa: TID251 - as published
    (llava / "model.safetensors").unlink()
    run_import(llava, tmp_path / "out")
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(written[name], tensor) for name, tensor in weights.items())


@pytest.mark.parametrize("what", ["missing", "unknown", "shape", "quantised", "not finite"])
def test_weights_that_do_not_fit_are_refused(llava: Path, tmp_path: Path, what: str) -> None:
    weights = load_file(llava / "model.safetensors")
    name = "multi_modal_projector.linear_1.weight"
    if what == "missing":
        del weights[name]
    elif what == "unknown":
        weights["model.image_newline"] = torch.zeros(32)
    elif what == "quantised":
        weights[name] = weights[name].to(torch.int8)
    elif what == "not finite":
        weights[name][0, 0] = torch.inf
    else:
        weights[name] = torch.zeros(3, 3)
    save_file(weights, llava / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"^{llava}: .*(linear_1|image_newline)"):
        run_import(llava, tmp_path / "out")
    assert not list(tmp_path.glob("*out*")), "half an import is left"


@pytest.mark.usefixtures("unpickled_here")
def test_the_original_layout_becomes_the_same_kind_of_checkpoint(tmp_path: Path) -> None:
    source, tower = tmp_path / "original", tmp_path / "tower"
    write_original_llava(source, tower)
    with pytest.raises(ConfigError, match="--tower"):
        run_import(source, tmp_path / "out")
    with pytest.raises(CheckpointError, match="pads the film"):
        run_import(source, tmp_path / "out", tower)
    counts = run_import(source, tmp_path / "out", tower, resize="crop")
    assert counts["projector"]["mapped"] == 4
    drafter = Drafter.load(tmp_path / "out")
    assert drafter.card.prompt.family == "vicuna_v1"
    expected = by_hand(source, tower, drafter)
    model = drafter.report_model
    ids = torch.tensor([model.encode_prompt(drafter.card.prompt.render(1))])
    pixels = torch.from_numpy(load_pixel_values(film(tmp_path), drafter.image_settings))[None]
    with torch.inference_mode():
        found = model.model(input_ids=ids, pixel_values=pixels).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def film(folder: Path) -> Path:
    path = folder / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 60), dtype=np.uint8)).save(path)
    return path


def by_hand(source: Path, tower: Path, drafter: Drafter) -> torch.Tensor:
    """The published parts, joined here step by step: tower, two layers, words around the film."""
    state: dict[str, torch.Tensor] = {}
    for path in sorted(source.glob("*.bin")):
        state |= torch.load(path, weights_only=True)  # noqa: TID251 - the published layout
    projector = {name.removeprefix("model.mm_projector."): state.pop(name) for name in list(state) if "mm_pro" in name}
    config = drafter.report_model.model.config.text_config
    language_model = LlamaForCausalLM(config).eval()
    language_model.load_state_dict(state)
    pixels = torch.from_numpy(load_pixel_values(film(source.parent), drafter.image_settings))[None]
    with torch.inference_mode():
        seen = CLIPVisionModel.from_pretrained(tower)(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        hidden = torch.nn.functional.gelu(seen @ projector["0.weight"].T + projector["0.bias"])
        shown = hidden @ projector["2.weight"].T + projector["2.bias"]
        tokenizer = AutoTokenizer.from_pretrained(source, legacy=True)
        before, after = drafter.card.prompt.render(1).split("<image>")
        left, right = tokenizer(before)["input_ids"], tokenizer(after)["input_ids"][1:]
        embed = language_model.get_input_embeddings()
        parts = [embed(torch.tensor([left])), shown, embed(torch.tensor([right]))]
        return language_model(inputs_embeds=torch.cat(parts, dim=1)).logits


def test_a_preprocessor_of_several_crops_is_refused(tmp_path: Path) -> None:
    write_gemma3(tmp_path / "published")
    change_json(tmp_path / "published" / "preprocessor_config.json", do_pan_and_scan=True)
    with pytest.raises(CheckpointError, match="several crops"):
        run_import(tmp_path / "published", tmp_path / "out")


def test_models_of_any_size_get_a_square_that_fits(tmp_path: Path) -> None:
    write_qwen2_5_vl(tmp_path / "published")
    with pytest.raises(ConfigError, match="multiple of 14"):
        run_import(tmp_path / "published", tmp_path / "out", size_px=50)
    run_import(tmp_path / "published", tmp_path / "out")
    settings = Drafter.load(tmp_path / "out").image_settings
    assert (settings.size_px, settings.resize) == (SIZE_PX, "pad")


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"model_type": "llava_next"}, UnknownNameError, "qwen2_5_vl"),
        ({"quantization_config": {"bits": 4}}, CheckpointError, "quantised"),
        ({"image_token_index": 7}, CheckpointError, "image token"),
        ({"image_seq_length": 576}, CheckpointError, "576 image tokens"),
        ({"text_config": {"model_type": "llama", "hidden_size": "x"}}, CheckpointError, "config.json cannot be read"),
    ],
    ids=["anyres", "quantised", "token", "length", "type"],
)
def test_configurations_that_cannot_be_repeated_are_refused(
    llava: Path, tmp_path: Path, changes: dict[str, object], error: type[Exception], says: str
) -> None:
    change_json(llava / "config.json", **changes)
    with pytest.raises(error, match=says):
        run_import(llava, tmp_path / "out")


def test_without_a_chat_template_a_family_must_be_named(llava: Path, tmp_path: Path) -> None:
    (llava / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match="--family"):
        run_import(llava, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"--family qwen3.*is no token of this language model"):
        run_import(llava, tmp_path / "out", family="qwen3")
    (llava / "chat_template.json").write_text("[]")
    with pytest.raises(CheckpointError, match=r"chat_template\.json: is no JSON object"):
        run_import(llava, tmp_path / "out")


def test_what_is_there_is_not_written_over(llava: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").touch()
    with pytest.raises(ConfigError, match="there already"):
        run_import(llava, tmp_path / "out")
