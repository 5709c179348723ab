"""Where does the time of a training step go? Usage: python bench/training_profile.py [--language-model DIR] [--ops]

Steps of align and finetune at the tiny and the 30M size, and, given the folder of a language model, of that model with
LoRA. Parts are timed by the clock around them; --ops adds torch's own table of operations.
"""

import argparse
import copy
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn
from training import TRAINS
from training_setups import SIZES, random_model, synthetic_rows

from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.models.devices import pick_device
from radlet.models.freezing import set_trainable
from radlet.models.language import LanguageModelConfig
from radlet.models.prompts import PLAIN
from radlet.models.report_model import ReportModel, assemble
from radlet.models.tunings.lora import LoraTuning
from radlet.training.augmentation import AugmentationConfig
from radlet.training.losses import language
from radlet.training.optimizer import build_optimizer
from radlet.training.precision import autocast
from radlet.training.report_training import ReportTrainingConfig, load_films
from radlet.training.reports import ReportObjective, ReportRowsConfig

PARTS = ("data", "encoder", "projector", "decoder", "loss", "backward", "optimiser")


class Clock:
    """Adds up the seconds of named parts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add what happens inside to a part."""
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started

    def watch(self, module: nn.Module, part: str) -> None:
        """Add every call of a module to a part."""
        starts: list[float] = []
        module.register_forward_pre_hook(lambda *_: starts.append(time.perf_counter()))

        def ended(*_: object) -> None:
            self.seconds[part] += time.perf_counter() - starts.pop()

        module.register_forward_hook(ended)


def profile(report_model: ReportModel, rows: list[Example], steps: int, folder: Path, ops: bool) -> dict[str, float]:
    """Return the seconds of each part of a step, a mean over `steps`."""
    model, clock = report_model.model, Clock()
    config = ReportTrainingConfig()
    paths = [path for row in rows for path in row.image_paths]
    films = load_films(paths, report_model, config, (folder, 1e12), Progress(quiet=True))
    objective = ReportObjective(report_model, rows, films, PLAIN, ReportRowsConfig(), AugmentationConfig())
    optimizer = build_optimizer(model, 1e-4, 0.01)
    architecture = report_model.architecture
    clock.watch(architecture.encoder(model), "encoder")
    clock.watch(architecture.projector(model), "projector")
    clock.watch(model.model.language_model, "decoder")
    inner = language.next_token_cross_entropy

    def timed_loss(*given: torch.Tensor) -> torch.Tensor:
        with clock.timed("loss"):
            return inner(*given)

    objective.losses.__globals__["next_token_cross_entropy"] = timed_loss
    generator = np.random.default_rng(0)
    objective.train_mode()

    def step() -> None:
        with clock.timed("data"):
            chosen = generator.choice(len(rows), config.loop.micro_batch_size, replace=False)
            chosen = chosen[np.argsort(objective.row_lengths()[chosen])]
            batch = objective.batch(chosen, torch.Generator())
        with autocast(pick_device(), "auto"):
            loss = objective.losses(batch)["language"] / objective.units(batch)
        with clock.timed("backward"):
            loss.backward()  # type: ignore[no-untyped-call]
        with clock.timed("optimiser"):
            nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
            optimizer.step()
            optimizer.zero_grad()

    step()
    clock.seconds.clear()
    for _ in range(steps):
        step()
    objective.losses.__globals__["next_token_cross_entropy"] = inner
    found = {part: clock.seconds[part] / steps for part in PARTS}
    if ops:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            step()
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    return found


def with_lora(folder: Path, rows: list[Example]) -> ReportModel:
    """Return the tiny encoder before a language model from disk, tuned by LoRA."""
    language_model, tokenizer = LanguageModelConfig(path=folder).build(list)
    tiny = random_model(SIZES["tiny"], rows)
    encoder = tiny.architecture.encoder(tiny.model)
    report_model = assemble(encoder, language_model, tokenizer, tiny.card, keep_class_token=True)
    set_trainable(report_model.model, {"projector"})
    LoraTuning(kind="lora").apply(report_model.model)
    return report_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=["tiny", "30M"])
    parser.add_argument("--language-model", type=Path, help="folder of a causal language model, tuned by LoRA")
    parser.add_argument("--patients", type=int, default=250, help="of the synthetic studies")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for the studies; kept, so that the next run finds them")
    parser.add_argument("--ops", action="store_true", help="show torch's table of operations too")
    args = parser.parse_args()
    print(f"{'':16} {'ms':>7} " + " ".join(f"{part:>9}" for part in PARTS))
    with tempfile.TemporaryDirectory() as temporary:
        rows = synthetic_rows(args.out or Path(temporary), args.patients)

        def show(name: str, report_model: ReportModel) -> None:
            found = profile(report_model, rows, args.steps, Path(temporary), args.ops)
            total = sum(found.values())
            shares = " ".join(f"{found[part] / total:9.1%}" for part in PARTS)
            print(f"{name:16} {total * 1e3:7.0f} {shares}", flush=True)

        for size in args.sizes:
            base = random_model(SIZES[size], rows)
            for stage, parts in TRAINS.items():
                model = copy.deepcopy(base.model)
                set_trainable(model, parts)
                show(f"{size} {stage}", ReportModel(model, base.tokenizer, base.card))
        if args.language_model:
            show("LoRA", with_lora(args.language_model, rows))


if __name__ == "__main__":
    main()
