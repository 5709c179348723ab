"""Hold what `radlet plan` says of this machine against what training takes: memory within 15 %, time within 30 %.

One thread, whose processor time is measured, for others may work on the machine; rates are measured beside each size.

Three sizes are tuned for a few steps on a finished demo: the language model of the recipe, one of 30 million weights,
and the shape of SmolLM2-135M with low-rank updates; the larger two with random weights, which cost what others do.

    python bench/plan.py DEMO [--json OUT]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from radlet.core.config import load_config
from radlet.stages import align
from radlet.stages.machines import measure_this
from radlet.stages.pipeline import shipped_recipes
from radlet.stages.plan import plan_reports
from radlet.stages.plan_inputs import SHAPES, Recipes, Workload

STEPS = {"tiny": (3, 33), "30M": (2, 8), "135M LoRA": (2, 8)}
"""Optimiser steps of a short and of a long run, whose difference is timed."""
SIZES = {
    "tiny": (None, []),
    "30M": (
        ("llama", {"vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 8}),
        ["finetune.training.loop.micro_batch_size=16", "finetune.training.loop.grad_accum_steps=1"],
    ),
    "135M LoRA": (
        SHAPES["smollm2-135m"],
        [
            'finetune.tuning={kind="lora",rank=16,alpha=32}',
            "finetune.training.loop.micro_batch_size=8",
            "finetune.training.loop.grad_accum_steps=1",
        ],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="output folder of `radlet demo`")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="which; by default all")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    runs = {stage: next((options.demo / "runs" / stage).glob("tiny-*")) for stage in ("build", "pretrain", "align")}
    os.environ["OMP_NUM_THREADS"] = "1"  # also of the processes that measure the machine and train
    torch.set_num_threads(1)
    workload = Workload.of(runs["build"])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            shape, overrides = SIZES[size]
            work = Path(folder) / size.replace(" ", "_")
            aligned, model = runs["align"], []
            if shape is not None:
                language_model = _language_model(shape, runs["pretrain"], work)
                model = [f"align.language_model.path={language_model}"]
                aligned = _align(runs, language_model, work)
            short, long = STEPS[size]
            steps = [f"finetune.training.loop.max_steps={long}"]
            recipes = Recipes.of(shipped_recipes("tiny"), [*overrides, *model, *steps], None)
            own = [override.removeprefix("finetune.") for override in overrides]
            _finetune(runs["build"], aligned, own, 0, work)  # fills the cache of films
            planned = plan_reports("finetune", recipes, workload, measure_this("auto"))
            short_s, _ = _finetune(runs["build"], aligned, own, short, work)
            long_s, peak = _finetune(runs["build"], aligned, own, long, work)
            measured_s = (long_s - short_s) / (long - short)
            rows.append(
                {
                    "size": size,
                    "parameters": planned.parameters[1],
                    "planned_step_s": planned.step_s,
                    "measured_step_s": measured_s,
                    "time_ratio": planned.step_s / measured_s,
                    "planned_bytes": planned.peak_bytes,
                    "measured_bytes": peak,
                    "memory_ratio": planned.peak_bytes / peak,
                }
            )
            print(
                f"{size:10}  a step {planned.step_s:.2f} s planned, {measured_s:.2f} s measured "
                f"({rows[-1]['time_ratio']:.2f});  memory {planned.peak_bytes / 1e9:.2f} GB planned, "
                f"{peak / 1e9:.2f} GB measured ({rows[-1]['memory_ratio']:.2f})",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps({"sizes": rows}, indent=2) + "\n", encoding="utf-8")


def _language_model(shape: tuple[str, dict], pretrain: Path, work: Path) -> Path:
    """Write a language model of that shape with random weights and the demo's tokenizer."""
    folder = work / "language_model"
    tokenizer = AutoTokenizer.from_pretrained(pretrain / "checkpoint" / "language_model", local_files_only=True)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(shape[0], **shape[1], **ends)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _align(runs: dict[str, Path], language_model: Path, work: Path) -> Path:
    values = {
        "examples": runs["build"],
        "encoder": runs["pretrain"],
        "runs_dir": work / "runs",
        "keep_class_token": True,
        "language_model": {"path": language_model},
        "training": {"loop": {"max_steps": 0}},
    }
    return align.run(load_config(align.AlignConfig, None, None, **values))


def _finetune(build: Path, aligned: Path, overrides: list[str], steps: int, work: Path) -> tuple[float, float]:
    """Return processor time and largest memory of a process that tunes for some steps on one thread."""
    fixed = [f"training.loop.max_steps={steps}", "training.loop.num_evals=1", 'training.loop.keep="last"']
    fixed += [f"examples={build}", f"checkpoint={aligned}", f"runs_dir={work / 'runs'}", "training.max_dev_rows=8"]
    recipe = shipped_recipes("tiny") / "finetune.toml"
    command = [sys.executable, "-m", "radlet.cli", "finetune", str(recipe), *overrides, *fixed]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=one_thread, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
