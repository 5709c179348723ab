"""From a published folder to a scorecard: an imported model is tuned, judged, and drafts, through the command line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.contract.test_architectures_contract import import_tiny
from tests.fixtures.vision_language import WRITERS
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.config import StageConfig
from radlet.core.records import Example
from radlet.core.runs import open_run
from radlet.data.manifests import EXAMPLES, write_records
from radlet.inference.drafter import Drafter

LOOP = ["training.loop.micro_batch_size=2", "training.loop.epochs=100", "training.loop.num_evals=1"]
RECIPES = {"lora": ['tuning={kind="lora", rank=4, alpha=8}'], "full": ['tuning={kind="full"}']}


def radlet(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def build_run(tmp_path: Path, tiny_examples: list[Example]) -> Path:
    """Studies with a test split, films as pixels that differ from afar."""
    run = open_run(StageConfig(name="tiny", runs_dir=tmp_path / "runs"), "build")
    rows = []
    for number, example in enumerate(tiny_examples):
        pixels = np.random.default_rng(number).integers(0, 255, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 64), 2).save(example.image_paths[0])
        split = {5: "test", 6: "dev", 7: "test"}.get(number, "train")
        paths = tuple(os.path.relpath(path, run.path) for path in example.image_paths)
        rows.append(example.model_copy(update={"split": split, "image_paths": paths}))
    write_records(run.path / EXAMPLES, rows)
    run.finish()
    return run.path


def tune(name: str, tuning: str, build_run: Path, folder: Path) -> Path:
    """Import a model and tune it a little; return the run."""
    WRITERS[name](folder / "published")
    import_tiny(name, folder / "published", folder / "imported")
    recipe = folder / "finetune.toml"
    recipe.write_text('name = "tiny"\n')
    shared = [f"examples={build_run}", f"checkpoint={folder / 'imported'}", f"runs_dir={folder / 'runs'}", *LOOP]
    radlet("finetune", recipe, *shared, *RECIPES[tuning], "training.loop.max_steps=16", "training.loop.lr=5e-3")
    (tuned,) = (folder / "runs" / "finetune").iterdir()
    rows = [json.loads(line) for line in (tuned / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    assert Drafter.load(tuned).card.prompt == Drafter.load(folder / "imported").card.prompt
    return tuned


def test_an_imported_model_is_tuned_in_full_drafts_and_explains(
    build_run: Path, tmp_path: Path, tiny_films: list[Path]
) -> None:
    tuned = tune("gemma3", "full", build_run, tmp_path)
    line = json.loads(
        radlet("generate", tuned, tiny_films[0], "--jsonl", "--max-new-tokens", 8).strip().split("\n")[-1]
    )
    word = line["findings"].split()[0]
    radlet("explain", tuned, tiny_films[0], "--word", word, "--out", tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as drawn:
        assert min(drawn.size) > 100


def test_an_imported_model_is_tuned_by_lora_and_judged(build_run: Path, tmp_path: Path) -> None:
    tuned = tune("qwen2_5_vl", "lora", build_run, tmp_path)
    recipe = tmp_path / "evaluate.toml"
    recipe.write_text(
        "num_resamples = 20\nmax_probe_drafts = 1\nmax_grounding_reports = 1\nmax_deletion_reports = 0\n"
        "max_calibration_reports = 0\nnum_pictures = 1\n"
    )
    radlet("evaluate", recipe, f"examples={build_run}", f"checkpoint={tuned}", f"runs_dir={tmp_path / 'runs'}")
    (judged,) = (tmp_path / "runs" / "evaluate").iterdir()
    assert json.loads((judged / "scorecard.json").read_text())["num_studies"] == 2
