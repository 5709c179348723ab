"""The training stages on the smallest studies: they run, the loss falls, and a killed run ends like a calm one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, SETTINGS

from radlet.core.config import StageConfig, load_config
from radlet.core.errors import ConfigError, DataError, UnknownNameError
from radlet.core.locks import lock_file
from radlet.core.records import Example
from radlet.core.runs import open_run
from radlet.data.manifests import EXAMPLES, write_records
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.stages import align, finetune, pretrain
from radlet.stages.together import run_together

STEPS = 6


@pytest.fixture
def build_run(tmp_path: Path, tiny_examples: list[Example]) -> Path:
    return write_build(tmp_path / "runs", "tiny", tiny_examples)


def write_build(runs_dir: Path, name: str, tiny_examples: list[Example]) -> Path:
    run = open_run(StageConfig(name=name, runs_dir=runs_dir), "build")
    relative = [
        example.model_copy(update={"image_paths": tuple(os.path.relpath(p, run.path) for p in example.image_paths)})
        for example in tiny_examples
    ]
    write_records(run.path / EXAMPLES, relative)
    run.finish()
    return run.path


def loop(steps: int = STEPS, **changes: object) -> dict[str, object]:
    return {"max_steps": steps, "epochs": 100, "micro_batch_size": 2, "num_evals": 2, "save_every_steps": 2, **changes}


def run_pretrain(build_run: Path, **changes: object) -> Path:
    values = {
        "name": "tiny",
        "runs_dir": build_run.parent.parent,
        "examples": build_run,
        "image": SETTINGS.model_dump(),
        "encoder": ENCODER.model_dump(),
        "language_model": LANGUAGE_MODEL.model_dump(),
        "embed_dim": 8,
        "loop": loop(),
    }
    return pretrain.run(load_config(pretrain.PretrainConfig, None, None, **(values | changes)))


def run_align(build_run: Path, encoder: Path, **changes: object) -> Path:
    values = {"name": "tiny", "runs_dir": build_run.parent.parent, "examples": build_run, "encoder": encoder}
    return align.run(load_config(align.AlignConfig, None, None, **(values | {"training": {"loop": loop()}} | changes)))


def finetune_values(build_run: Path, aligned: Path) -> dict[str, object]:
    runs = build_run.parent.parent
    return {
        "name": "tiny",
        "runs_dir": runs,
        "examples": build_run,
        "checkpoint": aligned,
        "training": {"loop": loop()},
    }


def run_finetune(build_run: Path, aligned: Path, **changes: object) -> Path:
    values = finetune_values(build_run, aligned) | changes
    return finetune.run(load_config(finetune.FinetuneConfig, None, None, **values))


def losses(run: Path) -> list[float]:
    log = run / "metrics.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [row["loss"] for row in rows if "loss" in row]


def test_the_stages_chain_and_their_losses_fall(build_run: Path, tiny_films: list[Path]) -> None:
    encoder = run_pretrain(build_run, loop=loop(30, lr=5e-3))
    assert losses(encoder)[-1] < losses(encoder)[0]
    aligned = run_align(build_run, encoder)
    tuned = run_finetune(build_run, aligned, training={"loop": loop(30, lr=5e-3), "num_dev_drafts": 2})
    assert losses(tuned)[-1] < losses(tuned)[0]
    draft = Drafter.load(tuned).draft([DraftRequest((tiny_films[0],))])
    assert isinstance(draft[0], str)
    assert not (tuned / "training_state").exists()


def test_each_stage_moves_only_its_part(build_run: Path) -> None:
    encoder = run_pretrain(build_run)
    aligned = run_align(build_run, encoder)
    tuned = run_finetune(build_run, aligned)
    before = load_file(encoder / "checkpoint" / "encoder" / "model.safetensors")
    align_weights = load_file(aligned / "checkpoint" / "model.safetensors")
    tuned_weights = load_file(tuned / "checkpoint" / "model.safetensors")
    changed = {name for name in align_weights if not torch.equal(align_weights[name], tuned_weights[name])}
    assert any("multi_modal_projector" in name for name in changed)
    assert any("language_model" in name for name in changed)
    assert not any("vision_tower" in name for name in changed)
    towers = {name: tensor for name, tensor in align_weights.items() if "vision_tower" in name}
    assert len(towers) == len(before)
    assert all(any(name.endswith(key) and torch.equal(t, before[key]) for key in before) for name, t in towers.items())


def test_a_stage_of_no_steps_hands_on_its_model_untrained(build_run: Path) -> None:
    encoder = run_pretrain(build_run, loop=loop(0))
    aligned = run_align(build_run, encoder, training={"loop": loop(0)})
    assert (losses(encoder), losses(aligned)) == ([], [])
    trained = run_align(build_run, encoder)
    before, after = (load_file(run / "checkpoint" / "model.safetensors") for run in (aligned, trained))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "multi_modal_projector" in name}


def test_finetune_with_lora_leaves_a_plain_checkpoint(build_run: Path, tiny_films: list[Path]) -> None:
    aligned = run_align(build_run, run_pretrain(build_run))
    tuned = run_finetune(build_run, aligned, tuning={"kind": "lora", "rank": 2, "alpha": 4})
    assert not [name for name in load_file(tuned / "checkpoint" / "model.safetensors") if "lora" in name]
    assert Drafter.load(tuned).draft([DraftRequest((tiny_films[0],))])


def test_the_text_only_baseline_needs_no_film(build_run: Path, tiny_examples: list[Example]) -> None:
    aligned = run_align(build_run, run_pretrain(build_run))
    impressions = [example.model_copy(update={"target_section": "impression"}) for example in tiny_examples]
    tuned = run_finetune(write_build(build_run.parent.parent, "impressions", impressions), aligned, films="none")
    drafter = Drafter.load(tuned)
    assert (drafter.card.films, drafter.card.target_section) == ("none", "impression")
    assert drafter.draft([DraftRequest((), "Cough.")])


@pytest.fixture
def question_run(build_run: Path, tiny_examples: list[Example]) -> Path:
    asked = [
        example.model_copy(
            update={
                "question": "Is there an effusion?" if number % 2 else "Where is it?",
                "target": "Yes" if number % 2 else "left",
                "answer_kind": "closed" if number % 2 else "open",
                "target_section": "answer",
                "observations": {},
            }
        )
        for number, example in enumerate(tiny_examples)
    ]
    return write_build(build_run.parent.parent, "questions", asked)


def test_finetune_learns_to_answer_what_is_asked(build_run: Path, question_run: Path, tiny_films: list[Path]) -> None:
    aligned = run_align(build_run, run_pretrain(build_run))
    training = {"loop": loop(60, lr=1e-2), "num_dev_drafts": 2, "select": "draft_exact"}
    tuned = run_finetune(question_run, aligned, training=training)
    measured = [json.loads(line) for line in (tuned / "metrics.jsonl").read_text().splitlines()]
    best = max((row for row in measured if "val_draft_exact" in row), key=lambda row: row["val_draft_exact"])
    assert {"val_draft_exact", "val_draft_exact_closed", "val_draft_exact_open"} <= set(best)
    assert best["val_draft_exact"] == 1.0
    drafter = Drafter.load(tuned)
    assert drafter.card.target_section == "answer"
    questions = ("Is there an effusion?", "Where is it?")
    assert drafter.draft([DraftRequest((tiny_films[0],), question=asked) for asked in questions]) == ["Yes", "left"]


def test_align_refuses_questions_and_a_score_that_does_not_fit_is_named(build_run: Path, question_run: Path) -> None:
    encoder = run_pretrain(build_run)
    with pytest.raises(ConfigError, match=r"holds questions .* and align shows none"):
        run_align(question_run, encoder)
    aligned = run_align(build_run, encoder)
    for examples, select, allowed in ((question_run, "draft_f1_micro", "exact"), (build_run, "draft_exact", "f1")):
        training = {"loop": loop(), "select": select, "num_dev_drafts": 2}
        with pytest.raises(ConfigError, match=f"does not fit: .* or a draft_{allowed}"):
            run_finetune(examples, aligned, training=training)


def test_a_finished_stage_is_not_done_again(build_run: Path) -> None:
    first = run_pretrain(build_run)
    weights = (first / "checkpoint" / "heads.safetensors").stat().st_mtime_ns
    assert run_pretrain(build_run) == first
    assert (first / "checkpoint" / "heads.safetensors").stat().st_mtime_ns == weights
    assert run_pretrain(build_run, seed=5) != first


def test_accumulation_equals_one_large_batch(build_run: Path) -> None:
    encoder = run_pretrain(build_run)
    weights = []
    for micro, accumulate in ((6, 1), (2, 3)):
        changes = {"micro_batch_size": micro, "grad_accum_steps": accumulate, "precision": "fp32", "keep": "last"}
        aligned = run_align(build_run, encoder, training={"loop": loop(3, lr=1e-2, **changes)})
        weights.append(load_file(aligned / "checkpoint" / "model.safetensors"))
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, atol=2e-5, rtol=1e-4)


def test_killed_and_resumed_equals_uninterrupted(build_run: Path) -> None:
    aligned = run_align(build_run, run_pretrain(build_run))
    values = finetune_values(build_run, aligned)
    augmentation = {"rotation_deg": 5.0, "contrast": 0.2}
    values["training"] = {
        "augmentation": augmentation,
        "loop": loop(400, num_evals=4, save_every_steps=10, ema_decay=0.9),
    }
    values["tuning"] = {"kind": "lora", "rank": 2, "alpha": 4, "dropout": 0.2}
    values_file = build_run.parent / "values.json"
    values_file.write_text(json.dumps(values, default=str))
    script = (
        "import json, pathlib; from radlet.core.config import load_config;"
        "from radlet.stages.finetune import FinetuneConfig, run;"
        f"values = json.loads(pathlib.Path({str(values_file)!r}).read_text());"
        "run(load_config(FinetuneConfig, None, None, **values))"
    )
    command = [sys.executable, "-c", script]
    runs = build_run.parent.parent / "finetune"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(runs.glob("tiny-*/training_state/step-*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    interrupted = next(runs.glob("tiny-*"))
    assert not (interrupted / "DONE").exists()
    resumed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "resuming after step" in resumed.stderr
    first = load_file(interrupted / "checkpoint" / "model.safetensors")
    interrupted.rename(interrupted.with_name("first"))
    subprocess.run(command, capture_output=True, check=True)
    second = load_file(next(runs.glob("tiny-*")) / "checkpoint" / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_model_and_its_baseline_are_trained_side_by_side(
    build_run: Path, two_threads: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both are what they would have been one after the other, and the baseline is not heard of while it trains."""
    aligned = run_align(build_run, run_pretrain(build_run))
    values = finetune_values(build_run, aligned)
    configs = {
        name: load_config(finetune.FinetuneConfig, None, None, **(values | {"name": name, "films": films}))
        for name, films in (("model", "as_aligned"), ("baseline", "none"))
    }
    capfd.readouterr()
    done = run_together({name: ("finetune", config) for name, config in configs.items()}, None)
    told = capfd.readouterr().err
    assert list(done) == ["model", "baseline"]
    assert torch.get_num_threads() == 2
    assert told.index("baseline  goes on beside model") < told.index("baseline  done")
    assert told.count("language_model") == 1
    for name, films in (("model", "as_aligned"), ("baseline", "none")):
        alone = run_finetune(build_run, aligned, name=name, films=films, runs_dir=build_run.parent.parent / "alone")
        first, second = (load_file(run / "checkpoint" / "model.safetensors") for run in (done[name], alone))
        for tensor in first:
            torch.testing.assert_close(first[tensor], second[tensor], atol=1e-4, rtol=1e-3)


def test_an_error_of_the_baseline_reaches_the_caller(build_run: Path, two_threads: None) -> None:
    aligned = run_align(build_run, run_pretrain(build_run))
    values = finetune_values(build_run, aligned)
    good = load_config(finetune.FinetuneConfig, None, None, **values)
    bad = good.model_copy(update={"name": "bad", "examples": build_run.parent / "nothing"})
    with pytest.raises(DataError, match="does not exist"):
        run_together({"good": ("finetune", good), "bad": ("finetune", bad)}, None)
    assert torch.get_num_threads() == 2


def test_what_runs_beside_ends_when_its_parent_is_killed(build_run: Path) -> None:
    """Otherwise the run would stay locked, and go on unseen."""
    aligned = run_align(build_run, run_pretrain(build_run))
    values = finetune_values(build_run, aligned) | {"training": {"loop": loop(steps=10**6)}}
    values_file = build_run.parent / "values.json"
    values_file.write_text(json.dumps(values, default=str))
    script = f"""
import json, pathlib, torch
from radlet.core.config import load_config
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.together import run_together
if __name__ == "__main__":
    torch.set_num_threads(2)
    values = json.loads(pathlib.Path({str(values_file)!r}).read_text())
    configs = {{n: load_config(FinetuneConfig, None, None, **(values | {{"name": n}})) for n in ("model", "baseline")}}
    run_together({{name: ("finetune", config) for name, config in configs.items()}}, None)
"""
    script_file = build_run.parent / "together.py"
    script_file.write_text(script)
    runs = build_run.parent.parent / "finetune"
    process = subprocess.Popen([sys.executable, script_file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(runs.glob("baseline-*/training_state/step-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    baseline = next(runs.glob("baseline-*"))
    with (baseline / ".lock").open("r+b") as file:
        while not lock_file(file.fileno(), wait=False):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_what_cannot_be_trained_is_said(build_run: Path) -> None:
    encoder = run_pretrain(build_run)
    aligned = run_align(build_run, encoder)
    with pytest.raises(UnknownNameError, match="lora"):
        run_finetune(build_run, aligned, tuning={"kind": "lorra"})
    with pytest.raises(ConfigError, match="rank"):
        run_finetune(build_run, aligned, tuning={"kind": "lora", "rank": "many"})
    with pytest.raises(DataError, match="does not exist"):
        run_finetune(build_run, build_run.parent / "nothing")
    with pytest.raises(ConfigError, match="draft_f1_macro"):
        run_align(build_run, encoder, training={"loop": loop(), "select": "beauty"})
    with pytest.raises(ConfigError, match="set num_dev_drafts"):
        run_align(build_run, encoder, training={"loop": loop(), "select": "draft_f1_macro"})
    with pytest.raises(ConfigError, match="needs a label that some of the 1 dev films"):
        run_pretrain(build_run, max_dev_films=1)
