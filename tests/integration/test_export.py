"""`radlet export` from a checkpoint to a folder that drafts, is judged, and is kept or not."""

import json
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import make_report_model
from typer.testing import CliRunner

from radlet.cli import app
from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.locks import lock_file
from radlet.core.records import Example
from radlet.core.runs import open_run, run_digest
from radlet.data.manifests import EXAMPLES, write_records
from radlet.inference.attention import find_phrase
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.inference.exports import Gate, read_export
from radlet.models.report_model import save_report_model
from radlet.stages import export
from radlet.stages.export import Trial

pytest.importorskip("gguf")
QUIET = Progress(quiet=True)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    save_report_model(make_report_model(), folder, None)
    return folder


@pytest.fixture
def build_run(tmp_path: Path, tiny_examples: list[Example]) -> Path:
    run = open_run(StageConfig(runs_dir=tmp_path / "runs"), "build")
    write_records(run.path / EXAMPLES, tiny_examples)
    run.finish()
    return run.path


def gate_of(exported: float) -> Gate:
    return Gate(
        metric="observation_f1_micro_14",
        split="dev",
        num_studies=2,
        exported=exported,
        checkpoint=0.9,
        low=-0.1,
        high=0.1,
        limit=0.05,
        equal_drafts=1,
        num_drafts=2,
    )


def test_an_exact_export_drafts_as_the_checkpoint_and_stands_in_its_place(
    checkpoint: Path, build_run: Path, tiny_films: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "exports" / "tiny"
    # Noise is drafted: no observation of theirs is ever right, and the score is 0 for both.
    arguments = [
        "export",
        str(checkpoint),
        "quantization=F32",
        "--engine",
        "llama-cpp",
        "--out",
        str(out),
        "--examples",
        str(build_run),
    ]
    result = CliRunner().invoke(app, [*arguments, "--split", "train"])
    assert result.exit_code == 0, result.output
    gate = read_export(out).export.gate
    assert isinstance(gate, Gate)
    assert (gate.split, gate.num_studies, gate.equal_drafts, gate.fall) == ("train", 6, 6, 0.0)
    assert run_digest(out)  # a finished run, so that evaluate takes it
    requests = [DraftRequest((film,)) for film in tiny_films[:3]]
    drafter = Drafter.load(out)
    texts = drafter.draft(requests)
    assert texts == Drafter.load(checkpoint).draft(requests)
    phrase = texts[0].split()[0]
    maps = drafter.attention(requests[0], texts[0], [find_phrase(texts[0], phrase)])
    assert maps[0].weighted.sum() == pytest.approx(1, abs=1e-4)


def test_every_file_is_checked_and_transformers_takes_the_device_at_hand(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = export.run(checkpoint, "llama-cpp", [], tmp_path / "out", None, QUIET)
    # A device that holds no numbers stands for a GPU.
    monkeypatch.setattr("radlet.inference.drafter.pick_device", lambda: torch.device("meta"))
    for folder in (checkpoint, out):
        assert Drafter.load(folder).report_model.model.device.type == "meta"
    (out / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer/tokenizer\.json is missing"):
        read_export(out)


def test_a_fall_beyond_the_limit_leaves_the_comparison_alone(
    checkpoint: Path, build_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, trial = tmp_path / "export", Trial(build_run, limit=0.05)
    monkeypatch.setattr(export, "judge_export", lambda *_: gate_of(0.84))
    with pytest.raises(CheckpointError, match=r"not kept.*0\.8400.*0\.9000.*0\.05 is allowed"):
        export.run(checkpoint, "llama-cpp", [], out, trial, QUIET)
    assert [path.name for path in out.iterdir()] == ["rejected.json"]
    assert json.loads((out / "rejected.json").read_text())["gate"]["exported"] == 0.84
    assert not list(tmp_path.glob(".*"))
    monkeypatch.setattr(export, "judge_export", lambda *_: gate_of(0.86))
    assert export.run(checkpoint, "llama-cpp", [], out, trial, QUIET) == out
    assert not (out / "rejected.json").exists()


def test_an_unjudged_export_says_so_and_a_taken_place_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    (tmp_path / ".export.writing").mkdir()  # of a killed export
    (tmp_path / ".export.writing" / "half.gguf").write_text("")
    export.run(checkpoint, "llama-cpp", ["quantization=Q8_0"], out, None, QUIET)
    assert json.loads((out / "export.json").read_text())["gate"] == "skipped"
    assert not (out / "half.gguf").exists()
    with pytest.raises(ConfigError, match="is there already"):
        export.run(checkpoint, "llama-cpp", [], out, None, QUIET)
    with pytest.raises(CheckpointError, match="is an export already"):
        export.run(out, "llama-cpp", [], tmp_path / "other", None, QUIET)


def test_an_unknown_engine_is_told_which_there_are(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no engine.*Did you mean 'llama-cpp'\? Known: llama-cpp, openvino, vllm\."):
        export.run(checkpoint, "llamacpp", [], tmp_path / "out", None, QUIET)


def test_two_exports_to_one_place_do_not_share_a_folder(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    with (tmp_path / ".export.lock").open("w") as other:
        assert lock_file(other.fileno(), wait=False)
        with pytest.raises(ConfigError, match="another process is exporting to it"):
            export.run(checkpoint, "llama-cpp", [], out, None, QUIET)
        assert (tmp_path / ".export.lock").exists()
    assert export.run(checkpoint, "llama-cpp", [], out, None, QUIET) == out
    assert not list(tmp_path.glob(".*"))


def test_the_checkpoint_is_asked_for_when_it_is_needed_and_gone(
    checkpoint: Path, tiny_films: list[Path], tmp_path: Path
) -> None:
    drafter = Drafter.load(export.run(checkpoint, "llama-cpp", [], tmp_path / "export", None, QUIET))
    (checkpoint / "added").write_text("")
    request = DraftRequest((tiny_films[0],))
    with pytest.raises(CheckpointError, match="was changed since"):
        drafter.attention(request, "The lungs.", [(0, 3)])
    checkpoint.rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is gone"):
        drafter.attention(request, "The lungs.", [(0, 3)])
    assert len(drafter.draft([request])) == 1


@pytest.mark.parametrize("more", [[], ["--no-gate", "--examples", "runs/build/x"]], ids=["neither", "both"])
def test_the_gate_is_given_studies_or_left_out_aloud(checkpoint: Path, tmp_path: Path, more: list[str]) -> None:
    result = CliRunner().invoke(app, ["export", str(checkpoint), "--out", str(tmp_path / "export"), *more])
    assert isinstance(result.exception, ConfigError)
    assert "--examples BUILD, or say --no-gate" in str(result.exception)
