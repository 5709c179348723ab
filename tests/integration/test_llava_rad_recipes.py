"""The recipes of `recipes/reference/llava_rad` in miniature: the same files, tiny sizes, a tiny MIMIC-CXR."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.fixtures.llava_rad_release import llama_settings, write_tokenizer
from tests.fixtures.mimic_cxr_tree import FILMS, write_llava_rad, write_mimic_cxr
from transformers import LlamaConfig, LlamaForCausalLM

from radlet.core.config import StageConfig, load_config
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.stages import align, build, finetune, ingest, pretrain
from radlet.stages.check import check

TOWER = (
    "encoder.options={ hidden_size = 24, num_hidden_layers = 3, num_attention_heads = 2, patch_size = 14, "
    "use_mask_token = false }"
)
TEXT_SIDE = (
    "language_model.options={ hidden_size = 16, intermediate_size = 32, num_hidden_layers = 1, "
    "num_attention_heads = 2, max_position_embeddings = 256 }"
)
SMALL = ["image.size_px=28", "embed_dim=8", "language_model.vocab_size=300", TOWER, TEXT_SIDE]
STEPS = {"max_steps=2", "micro_batch_size=2", "grad_accum_steps=1", "precision=fp32"}


@pytest.fixture(scope="module")
def recipes(repository: Path) -> Path:
    return repository / "recipes" / "reference" / "llava_rad"


@pytest.fixture(scope="module")
def runs(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run every stage up to finetune, each from its recipe with overrides, as the command line does."""
    folder = tmp_path_factory.mktemp("miniature")
    root, annotations = write_mimic_cxr(folder / "mimic"), write_llava_rad(folder / "annotations")
    vicuna = write_vicuna(folder / "vicuna")

    def run(stage: Any, config: type[StageConfig], *overrides: str, **given: Path) -> Path:
        recipe = recipes / f"{stage.__name__.rpartition('.')[2]}.toml"
        return stage.run(load_config(config, recipe, [f"runs_dir={folder / 'runs'}", *overrides], **given))

    loop = [f"loop.{step}" for step in STEPS]
    training = [f"training.{step}" for step in loop]
    ingested = run(
        ingest, ingest.IngestConfig, f"source.root={root}", f"source.annotations_dir={annotations}", "num_workers=1"
    )
    built = run(build, build.BuildConfig, "num_workers=1", ingest=ingested)
    encoder = run(pretrain, pretrain.PretrainConfig, *SMALL, *loop, examples=built)
    words = f"language_model.path={vicuna}"
    aligned = run(align, align.AlignConfig, words, *training, examples=built, encoder=encoder)
    tuned = run(
        finetune, finetune.FinetuneConfig, "tuning.rank=4", "tuning.alpha=8", *training, examples=built,
        checkpoint=aligned,
    )  # fmt: skip
    return {"ingest": ingested, "build": built, "pretrain": encoder, "align": aligned, "finetune": tuned, "root": root}


def write_vicuna(folder: Path) -> Path:
    vocabulary, _ = write_tokenizer(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**llama_settings(len(vocabulary))))
    model.config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_the_recipes_are_valid(recipes: Path) -> None:
    assert {path.name for path in check([recipes])} >= {"align.toml", "finetune.toml", "ingest-mimic.toml"}


def test_the_published_settings_stand_in_the_recipes(recipes: Path) -> None:
    here = Path()
    aligned = load_config(align.AlignConfig, recipes / "align.toml", [], examples=here, encoder=here)
    tuned = load_config(finetune.FinetuneConfig, recipes / "finetune.toml", [], examples=here, checkpoint=here)
    stages = [(aligned.training.loop, 256, 1e-3, 1), (tuned.training.loop, 64, 1e-4, 3)]
    for loop, batch, lr, epochs in stages:
        assert (loop.global_batch_size, loop.lr, loop.epochs) == (batch, lr, epochs)
        assert (loop.warmup_share, loop.weight_decay, loop.clip_norm, loop.precision) == (0.03, 0, 1, "bf16")
    assert {name: tuned.tuning[name] for name in ("kind", "rank", "alpha", "dropout")} == {
        "kind": "lora", "rank": 64, "alpha": 128, "dropout": 0.05,
    }  # fmt: skip
    assert len(tuned.tuning["target_modules"]) == 7
    assert tuned.max_new_tokens == 256


def test_each_stage_trains_its_part_and_the_vocabulary_stays(runs: dict[str, Path]) -> None:
    aligned, tuned = (load_file(runs[name] / "checkpoint" / "model.safetensors") for name in ("align", "finetune"))
    moved = {name for name in aligned if not torch.equal(aligned[name], tuned[name])}
    assert moved
    assert all("multi_modal_projector" in name or "_proj.weight" in name for name in moved)
    assert any("mlp.down_proj" in name for name in moved)
    vicuna = load_file(runs["root"].parent / "vicuna" / "model.safetensors")
    kept = [name for name in vicuna if torch.equal(vicuna[name], aligned[f"language_model.{name}"])]
    assert sorted(kept) == sorted(vicuna)
    losses = [json.loads(line) for line in (runs["finetune"] / "metrics.jsonl").read_text().splitlines()]
    assert all(row["loss"] > 0 for row in losses if "loss" in row)


def test_the_miniature_drafts_with_the_published_prompt(runs: dict[str, Path]) -> None:
    drafter = Drafter.load(runs["finetune"])
    assert drafter.card.max_new_tokens == 256
    assert drafter.card.prompt.render(1).startswith("A chat between a curious user")
    assert drafter.report_model.num_image_tokens == 4
    film = runs["root"] / f"{FILMS[5].path}.jpg"
    assert isinstance(drafter.draft([DraftRequest((film,), "Cough.")])[0], str)
