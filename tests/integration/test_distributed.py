"""Training in several processes: their number, their layout and the death of one change nothing.

The processes speak to each other on loopback, so all of them are started outside of this one.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, SETTINGS
from tests.integration.test_training_stages import loop, write_build

from radlet.cli.launching import check_command
from radlet.core.config import load_config
from radlet.core.errors import ConfigError
from radlet.core.records import Example
from radlet.stages import align, finetune, pretrain
from radlet.training import loop as training_loop

EXACT = {"precision": "fp32", "lr": 1e-2, "keep": "last"}
"""Of the loop: what equality needs, and steps large enough to drive unequal ones apart."""

DRIVER = """
import json, sys
from rich.console import Console
from radlet.core.config import load_config
from radlet.stages import align, finetune, pretrain
from radlet.training.world import together

STAGES = {"pretrain": (pretrain, "PretrainConfig"), "align": (align, "AlignConfig")}
STAGES["finetune"] = (finetune, "FinetuneConfig")
with together() as world:
    console = Console(quiet=not world.leads, stderr=True)
    for stage, values in json.loads(open(sys.argv[1]).read()):
        module, config = STAGES[stage]
        module.run(load_config(getattr(module, config), None, None, **values), console)
"""


@pytest.fixture
def values(tmp_path: Path, tiny_examples: list[Example]) -> dict[str, dict[str, object]]:
    """Settings of each stage; two films have no report. Pretrain and align are done."""
    some_without = [
        example.model_copy(update={"report": None}) if number in (1, 4) else example
        for number, example in enumerate(tiny_examples)
    ]
    common = {"name": "tiny", "runs_dir": str(tmp_path / "alone")}
    common["examples"] = str(write_build(tmp_path / "runs", "tiny", some_without))
    stages: dict[str, dict[str, object]] = {}
    stages["pretrain"] = {
        **common,
        "image": SETTINGS.model_dump(mode="json"),
        "encoder": ENCODER.model_dump(mode="json"),
        "language_model": LANGUAGE_MODEL.model_dump(mode="json"),
        "embed_dim": 8,
        "loss": {"max_pairs": 3},
        "loop": loop(4, **{**EXACT, "micro_batch_size": 5}),
    }
    run = pretrain.run(load_config(pretrain.PretrainConfig, None, None, **stages["pretrain"]))
    training = {"loop": loop(4, **{**EXACT, "micro_batch_size": 2, "grad_accum_steps": 3})}
    stages["align"] = {**common, "encoder": str(run), "training": training}
    run = align.run(load_config(align.AlignConfig, None, None, **stages["align"]))
    stages["finetune"] = {**common, "checkpoint": str(run), "training": training}
    return stages


def changed(values: dict[str, object], runs_dir: Path, **loop_changes: object) -> dict[str, object]:
    result = {**values, "runs_dir": str(runs_dir)}
    if "training" in result:
        result["training"] = {"loop": {**values["training"]["loop"], **loop_changes}}  # type: ignore[index]
    else:
        result["loop"] = {**values["loop"], **loop_changes}  # type: ignore[dict-item]
    return result


def run_finetune(values: dict[str, object]) -> Path:
    return finetune.run(load_config(finetune.FinetuneConfig, None, None, **values))


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def assert_equal_runs(first: Path, second: Path) -> None:
    rows = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (first, second)]
    assert [row.keys() for row in rows[0]] == [row.keys() for row in rows[1]]
    for one, other in zip(*rows, strict=True):
        assert one == pytest.approx(other, rel=2e-5, abs=1e-5)
    files = sorted(path.relative_to(first) for path in first.glob("checkpoint/**/*.safetensors"))
    assert files
    assert files == sorted(path.relative_to(second) for path in second.glob("checkpoint/**/*.safetensors"))
    for file in files:
        one, other = load_file(first / file), load_file(second / file)
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            torch.testing.assert_close(other[name], tensor, atol=2e-4, rtol=1e-3)


def interrupted(values: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a run that stopped in its third step, with the state of the second."""
    step = training_loop._step

    def stop(*arguments: object) -> dict[str, float]:
        if arguments[-1] == 2:
            raise KeyboardInterrupt
        return step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run_finetune(values)


def test_two_processes_do_what_one_does(
    values: dict[str, dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under torchrun: every stage with DDP and with FSDP, and a run that one process began."""
    alone = {"finetune": run_finetune(values["finetune"])}
    for stage in ("pretrain", "align"):
        (alone[stage],) = (tmp_path / "alone" / stage).iterdir()
    jobs = [(stage, changed(values[stage], tmp_path / "ddp")) for stage in values]
    jobs += [(stage, changed(values[stage], tmp_path / "fsdp", parallel="fsdp")) for stage in values]
    for parallel in ("ddp", "fsdp"):
        begun = changed(values["finetune"], tmp_path / "begun", parallel=parallel)
        interrupted(begun, monkeypatch)
        shutil.copytree(tmp_path / "begun", tmp_path / "resumed", dirs_exist_ok=True)  # this process holds the lock
        jobs.append(("finetune", {**begun, "runs_dir": str(tmp_path / "resumed")}))
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, tmp_path / "driver.py", tmp_path / "jobs.json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("resuming after step 2 of 4") == 2  # the leader's word alone
    for folder in ("ddp", "fsdp"):
        for stage, run in alone.items():
            (other,) = (tmp_path / folder / stage).iterdir()
            assert_equal_runs(run, other)
            assert not (other / "training_state").exists()
    resumed = list((tmp_path / "resumed" / "finetune").iterdir())
    assert len(resumed) == 2
    for run in resumed:
        assert_equal_runs(alone["finetune"], run)


def toml(values: dict[str, object]) -> str:
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        for inner, inner_table in table.items():
            lines += [f"[{name}.{inner}]", *(f"{key} = {json.dumps(value)}" for key, value in inner_table.items())]
    return "\n".join(lines)


def test_a_killed_process_ends_all_and_others_in_another_number_go_on(
    values: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    long = changed(values["finetune"], tmp_path / "runs", parallel="fsdp", max_steps=30, lr=1e-3)
    recipe = tmp_path / "finetune.toml"
    recipe.write_text(toml(long))
    command = [sys.executable, "-m", "radlet.cli", "finetune", str(recipe), "--processes"]
    parent = subprocess.Popen(
        [*command, "2"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    runs = tmp_path / "runs" / "finetune"
    deadline = time.monotonic() + 200
    while not list(runs.glob("*/training_state/step-*")):
        assert parent.poll() is None, parent.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent.pid)], capture_output=True, text=True, check=False
    ).stdout
    os.kill(int(children.split()[0]), signal.SIGKILL)
    out, err = parent.communicate()
    assert (parent.returncode, out) == (2, "")
    assert "Traceback" not in err
    assert err.count("The same command goes on from the last saved state.") == 1
    state = max(runs.glob("*/training_state/step-*"))
    assert len(list(state.glob("shard-*.safetensors"))) == 2
    shutil.copytree(tmp_path / "runs", tmp_path / "one", dirs_exist_ok=True)
    calm = run_finetune(changed(long, tmp_path / "calm"))
    assert_equal_runs(calm, run_finetune(changed(long, tmp_path / "one")))
    done = subprocess.run([*command, "3"], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("resuming after step") == 1
    assert_equal_runs(calm, Path(done.stdout.strip()))


def test_several_processes_are_for_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    check_command("align")
    with pytest.raises(ConfigError, match="2 processes would each do 'evaluate'"):
        check_command("evaluate")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        check_command("evaluate")
