"""Tuning through the stages and the command line: what trains, what is delivered, what is merged."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.integration.test_training_stages import build_run, loop, run_align, run_finetune, run_pretrain
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.records import Example
from radlet.inference.adapted import AdaptedDrafters
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.engines.base import Sampling

__all__ = ["build_run"]

SHORT = Sampling(max_new_tokens=12)


@pytest.fixture
def aligned(build_run: Path) -> Path:
    return run_align(build_run, run_pretrain(build_run, loop=loop(1)), training={"loop": loop(1)})


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "checkpoint" / "model.safetensors")


def moved(before: Path, after: Path) -> set[str]:
    first, second = weights(before), weights(after)
    parts = {"encoder": "vision_tower", "projector": "multi_modal_projector", "language_model": "language_model."}
    names = [name for name in first if not torch.equal(first[name], second[name])]
    return {part for part, word in parts.items() if any(word in name for name in names)}


def test_a_recipe_names_what_trains(build_run: Path, aligned: Path) -> None:
    every = run_finetune(
        build_run,
        aligned,
        train=["encoder", "projector", "language_model"],
        training={"loop": loop(lr_scale={"encoder": 0.1}, layer_decay=0.8, checkpoint_activations=True)},
    )
    assert moved(aligned, every) == {"encoder", "projector", "language_model"}
    assert moved(aligned, run_finetune(build_run, aligned, train=["encoder"])) == {"encoder"}
    with pytest.raises(ConfigError, match="nothing trains"):
        run_finetune(build_run, aligned, train=["projector"], films="none")
    with pytest.raises(ConfigError, match=r"deliver = 'adapter' needs .*tuning.kind = 'full'"):
        run_finetune(build_run, aligned, deliver="adapter")


def test_adapters_are_delivered_merged_and_drafted_with(
    build_run: Path,
    aligned: Path,
    tiny_examples: list[Example],
) -> None:
    training = {"loop": loop(lr=0.02, ema_decay=0.5, checkpoint_activations=True), "num_dev_drafts": 1}
    tuning = {"kind": "qlora", "rank": 2, "alpha": 8}
    both = run_finetune(build_run, aligned, tuning=tuning, training=training, weights="bf16")
    tuning |= {"kind": "lora"}
    small = run_finetune(build_run, aligned, tuning=tuning, training=training, weights="bf16", deliver="adapter")
    assert not (small / "checkpoint").exists()
    out = build_run.parent / "merged"
    films = [str(path) for example in tiny_examples[:2] for path in example.image_paths]
    told = CliRunner().invoke(app, ["merge", str(aligned), str(both), "--out", str(out)])
    assert told.exit_code == 0, told.output
    # The adapter was trained over a base rounded to bfloat16, which the merged checkpoint holds and the base does not.
    for name, tensor in weights(both).items():
        torch.testing.assert_close(load_file(out / "model.safetensors")[name], tensor, atol=1e-2, rtol=1e-2)
    drafted = CliRunner().invoke(
        app, ["generate", str(aligned), *films, "--adapter", str(both), "--jsonl", "--max-new-tokens", "12"]
    )
    assert drafted.exit_code == 0, drafted.output
    requests = [DraftRequest((Path(film),)) for film in films]
    assert [json.loads(line)["findings"] for line in drafted.stdout.splitlines()] == Drafter.load(out).draft(
        requests, SHORT
    )
    with pytest.raises(CheckpointError, match="was trained over weights"):
        AdaptedDrafters(out, {"small": small})


def test_each_request_is_answered_by_the_adapter_it_names(
    build_run: Path,
    aligned: Path,
    tiny_examples: list[Example],
) -> None:
    runs = {
        kind: run_finetune(
            build_run, aligned, name=kind, tuning={"kind": kind, "rank": 2, "alpha": 64}, training={"loop": loop(lr=lr)}
        )
        for kind, lr in (("lora", 0.03), ("dora", 0.1))
    }
    requests = [DraftRequest(tuple(map(Path, example.image_paths))) for example in tiny_examples[:3]]
    alone = {name: Drafter.load(run).draft(requests, SHORT) for name, run in runs.items()}
    assert alone["lora"] != alone["dora"]
    together = AdaptedDrafters(aligned, runs)
    names = ["dora", "lora", "dora"]
    expected = [alone[name][row] for row, name in enumerate(names)]
    assert together.draft(requests, names, SHORT) == expected


def test_what_cannot_be_merged_is_said(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def merge(adapter: str) -> str:
        return str(CliRunner().invoke(app, ["merge", str(tmp_path), adapter, "--out", str(out)]).exception)

    assert "'much' is no weight" in merge("nowhere=much")
    assert "holds no weights" in merge("nowhere")
    out.mkdir()
    (out / "file").touch()
    assert "is not empty" in merge("nowhere")
