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
    return result.output


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


@pytest.mark.parametrize(("name", "tuning"), [("qwen2_5_vl", "lora"), ("gemma3", "full")])
def test_an_imported_model_is_tuned_judged_and_drafts(
    name: str, tuning: str, build_run: Path, tmp_path: Path, tiny_films: list[Path]
) -> None:
    WRITERS[name](tmp_path / "published")
    import_tiny(name, tmp_path / "published", tmp_path / "imported")
    recipe = tmp_path / "finetune.toml"
    recipe.write_text('name = "tiny"\n')
    shared = [f"examples={build_run}", f"checkpoint={tmp_path / 'imported'}", f"runs_dir={tmp_path / 'runs'}", *LOOP]
    radlet("finetune", recipe, *shared, *RECIPES[tuning], "training.loop.max_steps=24", "training.loop.lr=5e-3")
    (tuned,) = (tmp_path / "runs" / "finetune").iterdir()
    losses = [
        row["loss"] for row in map(json.loads, (tuned / "metrics.jsonl").read_text().splitlines()) if "loss" in row
    ]
    assert losses[-1] < 0.8 * losses[0]
    assert Drafter.load(tuned).card.prompt == Drafter.load(tmp_path / "imported").card.prompt
    evaluate = tmp_path / "evaluate.toml"
    evaluate.write_text("num_resamples = 20\nmax_grounding_reports = 1\nmax_deletion_reports = 0\nnum_wordings = 1\n")
    radlet("evaluate", evaluate, f"examples={build_run}", f"checkpoint={tuned}", f"runs_dir={tmp_path / 'runs'}")
    (judged,) = (tmp_path / "runs" / "evaluate").iterdir()
    assert json.loads((judged / "scorecard.json").read_text())["num_studies"] == 2
    line = json.loads(radlet("generate", tuned, tiny_films[0], "--jsonl", "--max-new-tokens", 8).splitlines()[-1])
    assert line["findings"]
    word = line["findings"].split()[0]
    radlet("explain", tuned, tiny_films[0], "--word", word, "--out", tmp_path / "map.png")
    assert Image.open(tmp_path / "map.png").size[0] > 0
