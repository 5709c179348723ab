"""Drafts, an evaluation and an ablation on Ray: what they make is what local processes make, and a killed worker is
replaced.

    pytest -m ray tests/e2e/test_ray_models.py
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.test_ray import descendants, wait_for
from tests.integration.test_ablate import GRID, RECIPES

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason='needs the extra: pip install "radlet[ray]"'),
]
ON_RAY = ("--executor", "ray", "--num-workers", "2")


def start(*arguments):
    command = [sys.executable, "-m", "radlet.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # which Ray gives its workers
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(child):
    out, err = child.communicate()
    assert child.returncode == 0, err
    return out


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    """An ablation by this machine's processes, one after another."""
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "recipes").mkdir()
    for name, text in RECIPES.items():
        (folder / "recipes" / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "grid.toml").write_text(GRID, encoding="utf-8")
    finish(start("ablate", folder / "recipes", folder / "grid.toml", "ingest.num_workers=1", "--out", folder / "local"))
    return folder


def told(out):
    """What an ablation says but for the names of its runs, which tell the folder they are in, and its times."""
    ablation = json.loads((out / "ablation.json").read_text())
    for cell in ablation["cells"]:
        for stage in cell["stages"]:
            del stage["seconds"], stage["run"]
    for system in ablation["comparison"]["systems"]:
        del system["lineage"]
    return ablation


def drafts(out):
    return [path.read_text() for path in sorted(out.glob("runs/evaluate/*/predictions.jsonl"))]


def test_an_ablation_comes_to_the_same(ablated):
    recipes, grid, out = ablated / "recipes", ablated / "grid.toml", ablated / "ray"
    finish(start("ablate", recipes, grid, "ingest.num_workers=1", "--out", out, *ON_RAY))
    assert told(out) == told(ablated / "local")
    assert drafts(out) == drafts(ablated / "local")
    assert len(drafts(out)) == 2


def test_drafts_are_the_same_though_a_worker_is_killed(ablated):
    (checkpoint,) = (run for run in (ablated / "local" / "runs" / "finetune").iterdir() if (run / "DONE").exists())
    (ingest,) = (ablated / "local" / "runs" / "ingest").iterdir()
    films = sorted(ingest.glob("images/*.png")) * 20
    asked = ("generate", checkpoint, *films, "--jsonl", "--batch-size", "4")
    local = finish(start(*asked))
    child = start(*asked, *ON_RAY)

    def workers():
        return [pid for pid, command in descendants(child.pid).items() if command.startswith("ray::_Worker.draft")]

    wait_for(workers)
    os.kill(workers()[0], signal.SIGKILL)
    assert finish(child) == local
    assert local.count("\n") == len(films)


def test_an_evaluation_is_the_same(ablated, tmp_path):
    configs = [json.loads(path.read_text()) for path in ablated.glob("local/runs/evaluate/*/config.json")]
    config = next(config for config in configs if config["seed"] == 0)
    recipe = tmp_path / "evaluate.toml"
    kept = {key: config[key] for key in ("examples", "checkpoint", "encoder", "num_resamples", "max_probe_drafts")}
    recipe.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in kept.items()))
    cards = []
    for executor in ("local", "ray"):
        run = finish(
            start("evaluate", recipe, f"runs_dir={tmp_path / executor}", f"executor={executor}", "num_workers=2")
        )
        cards.append((Path(run.strip()) / "scorecard.json").read_text())
    assert cards[0] == cards[1]
