"""An ablation of the smallest recipe: stages are shared, a failed cell is told, a second call finds all done."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from radlet.core import runs
from radlet.core.errors import RunError
from radlet.evaluation.ablation import Ablation
from radlet.stages.ablate import ABLATION_HTML, ABLATION_JSON, print_effects, print_plan, run_ablation
from radlet.stages.grid import read_grid

RECIPES = {
    "ingest": """[source]
kind = "synthetic"
num_patients = 16
max_studies_per_patient = 1
size_px = 64
lateral_share = 0.0
""",
    "build": "shares = { train = 0.5, dev = 0.25, test = 0.25 }",
    "pretrain": """embed_dim = 8
select = "loss"
image = { size_px = 32, resize = "squash" }
encoder = { kind = "hybrid", widths = [8, 8, 16], hidden_size = 16, num_layers = 1, num_heads = 2 }
loop = { max_steps = 1, micro_batch_size = 4, num_evals = 1 }
[language_model]
vocab_size = 400
[language_model.options]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
max_position_embeddings = 512
""",
    "align": "training.loop = { max_steps = 1, micro_batch_size = 4, num_evals = 1 }",
    "finetune": "training.loop = { max_steps = 2, micro_batch_size = 4, num_evals = 1 }",
    "evaluate": "num_resamples = 20\nmax_probe_drafts = 1\nnum_pictures = 0",
}
GRID = """
without = ["finetune-no_image"]
num_resamples = 20
metrics = ["bleu_1", "length_ratio"]
[axes]
"finetune.training.loop.lr" = [1e30]
"evaluate.seed" = [0, 5]
"""
QUIET = Console(quiet=True)


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "_environment", dict)  # listing every installed package takes its time
    folder = tmp_path / "recipes"
    folder.mkdir()
    for name, text in RECIPES.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (tmp_path / "grid.toml").write_text(GRID, encoding="utf-8")
    return folder


def test_cells_share_stages_fail_alone_and_go_on_where_they_were(recipes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    grid = read_grid(tmp_path / "grid.toml", recipes, out, ["ingest.num_workers=1", "build.num_workers=1"])
    ablation = run_ablation(grid, recipes, out, QUIET)
    states = {cell.variant: cell.state for cell in ablation.cells}
    assert states == {
        "default": "finished",
        "finetune.training.loop.lr=1e+30": "failed",
        "evaluate.seed=5": "finished",
    }
    assert "The loss stopped being a number" in (ablation.cells[1].reason or "")
    common = ["ingest", "build", "pretrain", "align"]
    shared = [[stage.recipe for stage in cell.stages if stage.shared] for cell in ablation.cells]
    assert shared == [[], common, [*common, "finetune"]]
    assert len(list((out / "runs" / "pretrain").iterdir())) == 1
    assert ablation.stage_seconds["evaluate"][0] == 2

    comparison = ablation.comparison
    assert comparison is not None
    assert [system.name for system in comparison.contenders] == [name for name, s in states.items() if s == "finished"]
    assert {"constant", "shuffled_image"} <= {system.name for system in comparison.systems}
    assert "1 of 3 cells failed: finetune.training.loop.lr=1e+30" in comparison.notes
    assert ablation.effects["finetune.training.loop.lr"] == {}
    assert ablation.effects["evaluate.seed"]["5"].difference == 0
    assert Ablation.model_validate_json((out / ABLATION_JSON).read_text()) == ablation
    page = (out / ABLATION_HTML).read_text()
    assert "The loss stopped being a number" in page

    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("DONE")}
    again = run_ablation(grid, recipes, out, QUIET)
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("DONE")} == before
    assert again == ablation


def test_when_no_cell_finishes_that_is_an_error_with_the_record_left(recipes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (recipes / "ingest.toml").write_text('source = { kind = "dicom_tree", root = "missing" }', encoding="utf-8")
    grid = read_grid(tmp_path / "grid.toml", recipes, out)
    with pytest.raises(RunError, match="No cell finished"):
        run_ablation(grid, recipes, out, QUIET)
    cells = json.loads((out / ABLATION_JSON).read_text())["cells"]
    assert {cell["state"] for cell in cells} == {"failed"}
    assert len({cell["reason"] for cell in cells}) == 1


def test_the_plan_and_the_effects_are_told_in_words(recipes: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    print_plan(read_grid(tmp_path / "grid.toml", recipes, tmp_path), console)
    print_effects(Ablation(recipe="x", mode="grid", axes={}, default={}, cells=()), console)
    said = console.export_text()
    assert "3 cells, 9 stage runs (9 shared)" in said
    assert "time by stage" in said
