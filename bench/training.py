"""How fast does radlet train, beside transformers' Trainer? Usage: python bench/training.py [--json OUT] [--svg OUT]

The same model, rows, precision, batch and optimiser; rounds alternate in one process. The Trainer is given its best:
length-grouped batches, the faster attention kernel of the two, autocast, a fused optimiser, its films in memory,
compiled with unknown lengths or not. radlet goes both ways too. What is compiled is so before the steps that count.
A further round shows it the rows in radlet's order, so that the losses can be compared step by step.
Utilisation is the floating-point operations that the model needs, padding not counted, per second, over the largest
matrix-multiply rate measured here.
"""

import argparse
import copy
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_setups import SIZES, Size, random_model, synthetic_rows
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.utils import logging

from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.core.runs import Run
from radlet.data.images import ImageSettings
from radlet.models.freezing import set_trainable
from radlet.models.prompts import IGNORED, PLAIN
from radlet.models.report_model import ReportModel
from radlet.training.augmentation import AugmentationConfig
from radlet.training.film_features import FilmFeatures
from radlet.training.films import FilmStore, films_in_memory
from radlet.training.loop import LoopConfig, Validation, epoch_rows, train
from radlet.training.report_training import ReportTrainingConfig, load_films
from radlet.training.reports import ReportObjective, ReportRowsConfig

LR, SEED, WARM_STEPS = 1e-3, 1, 2
STEPS = {"tiny": (14, 4), "30M": (5, 2), "ViT-B/16 + 135M": (5, 1)}
"""Steps of a round and rounds, by size."""
TRAINS = {"align": {"projector"}, "finetune": {"projector", "language_model"}}
BARS = {"align": 3.0, "finetune": 1.5}
UTILISATION_BAR = 0.45
WHO, COMPILED = ("radlet", "trainer"), ", compiled"


@dataclass
class Curve:
    """What a round left: the loss of each step of so many rows, and when it ended, in seconds."""

    batch_size: int
    losses: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, loss: float) -> None:
        """Note a step that ended now."""
        self.losses.append(loss)
        self.ends.append(time.perf_counter())

    @property
    def samples_per_s(self) -> float:
        """Rows a second, after the first steps."""
        return (len(self.ends) - WARM_STEPS) * self.batch_size / (self.ends[-1] - self.ends[WARM_STEPS - 1])


class Noted(Run):
    """A run directory that notes when each step was logged."""

    def __init__(self, path: Path, batch_size: int) -> None:
        super().__init__(path, finished=False)
        self.curve = Curve(batch_size)

    def log(self, **values: Any) -> None:
        """Log as ever; note steps, not validations."""
        super().log(**values)
        if "lr" in values:
            self.curve.add(values["loss"])


@dataclass(frozen=True)
class Bench:
    """One stage at one size.

    Attributes:
        size: What is trained.
        base: The model before training.
        rows: To train on.
        stage: "align" or "finetune".
        precision: "bf16" or "fp32".
        steps: Steps of a round.
        folder: For what is written on the way.
    """

    size: Size
    base: ReportModel
    rows: list[Example]
    stage: str
    precision: str
    steps: int
    folder: Path

    def fresh(self) -> ReportModel:
        """Return an untrained copy of the model, ready to train."""
        model = copy.deepcopy(self.base.model)
        set_trainable(model, TRAINS[self.stage])
        return ReportModel(model, self.base.tokenizer, self.base.card)

    def objective(self, report_model: ReportModel, films: FilmStore | FilmFeatures) -> ReportObjective:
        """Return radlet's objective over the rows."""
        return ReportObjective(report_model, self.rows, films, PLAIN, ReportRowsConfig(), AugmentationConfig())

    def paths(self) -> list[str]:
        """Return every film."""
        return [path for row in self.rows for path in row.image_paths]

    def with_radlet(self, compiled: bool) -> Curve:
        """Train by radlet's own loop; the encoder has seen the films in the first round."""
        loop = LoopConfig(
            micro_batch_size=self.size.batch_size,
            lr=LR,
            warmup_share=0,
            max_steps=self.steps,
            epochs=99,
            precision=self.precision,
            keep="last",
            compile=compiled,
        )
        report_model, quiet = self.fresh(), Progress(quiet=True)
        cache = (self.folder / "cache", 1e12)
        films = load_films(self.paths(), report_model, ReportTrainingConfig(loop=loop), cache, quiet)
        run = Noted(Path(tempfile.mkdtemp(dir=self.folder)), self.size.batch_size)
        nothing = Validation(lambda: {"loss": 0.0}, "loss", higher_is_better=False)
        train(self.objective(report_model, films), loop, run, SEED, nothing, quiet)
        return run.curve

    def with_trainer(self, attention: str, grouped: bool, compiled: bool) -> Curve:
        """Train by transformers' Trainer, rows grouped by length or in radlet's order."""
        report_model, curve = self.fresh(), Curve(self.size.batch_size)
        model = report_model.model
        model.model.language_model.set_attn_implementation(attention)
        encoder = report_model.architecture.encoder(model).eval()
        encoder.train = lambda *_: encoder  # a frozen encoder keeps its running statistics, as in radlet
        dataset, collate = self.trainer_rows(report_model, grouped)
        schedule = LoopConfig(lr=LR)
        arguments = TrainingArguments(
            output_dir=str(self.folder / "trainer"),
            per_device_train_batch_size=self.size.batch_size,
            max_steps=self.steps,
            learning_rate=LR,
            weight_decay=schedule.weight_decay,
            adam_beta2=0.98,
            max_grad_norm=schedule.clip_norm,
            lr_scheduler_type="cosine",
            optim="adamw_torch_fused",
            bf16=self.precision == "bf16",
            use_cpu=True,
            train_sampling_strategy="group_by_length" if grouped else "sequential",
            remove_unused_columns=False,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            torch_compile=compiled,
            seed=SEED,
        )
        trainer = Trainer(model, arguments, train_dataset=dataset, data_collator=collate, callbacks=[Listener(curve)])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return curve

    def ways(self) -> dict[str, Callable[[], Curve]]:
        """Return the ways to train, by name."""
        ways: dict[str, Callable[[], Curve]] = {}
        for compiled in (False, True)[: 1 + self.size.compiled]:
            suffix = COMPILED * compiled
            ways[f"radlet{suffix}"] = partial(self.with_radlet, compiled)
            for attention in ("eager", "sdpa"):
                ways[f"trainer, {attention}{suffix}"] = partial(self.with_trainer, attention, True, compiled)
        return ways

    def trainer_rows(self, report_model: ReportModel, grouped: bool) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        """Return the rows for the Trainer and what makes a padded batch of them; films are in memory already."""
        films = films_in_memory(self.paths(), films_settings(report_model), Progress(quiet=True))
        num_rows = len(self.rows)
        order = list(range(num_rows) if grouped else rows_in_order(num_rows, self.steps * self.size.batch_size))
        objective = self.objective(report_model, films)
        tokens = [objective.row_tokens(row) for row in range(num_rows)]
        pad = int(report_model.tokenizer.pad_token_id)

        def collate(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            longest = max(len(item["input_ids"]) for item in items)

            def padded(name: str, value: int) -> torch.Tensor:
                return torch.tensor([item[name] + [value] * (longest - len(item[name])) for item in items])

            return {
                "input_ids": padded("input_ids", pad),
                "attention_mask": padded("attention_mask", 0),
                "labels": padded("labels", IGNORED),
                "pixel_values": films.pixel_values([path for item in items for path in item["paths"]]),
            }

        def item(row: int) -> dict[str, Any]:
            prompt, target = tokens[row]
            whole = prompt + target
            labels = [IGNORED] * len(prompt) + target
            paths = self.rows[row].image_paths
            return {"input_ids": whole, "labels": labels, "attention_mask": [1] * len(whole), "paths": paths}

        return [item(row) for row in order], collate

    def flops_of_step(self, objective: ReportObjective) -> float:
        """Return the operations of a mean step: 2 a weight and token forward, and as many for each gradient.

        Counted are the matrices of decoder, projector and head (at supervised tokens alone) and the products of
        attention over whole rows, 4 T^2 D a layer. A frozen matrix needs no gradient of its own. The encoder is not
        counted: it has run before.
        """
        config, model = self.base.model.config, self.base.model.model
        tokens = [objective.row_tokens(row) for row in range(len(self.rows))]
        lengths = np.array([len(prompt) + len(target) for prompt, target in tokens])
        width, layers = config.text_config.hidden_size, config.text_config.num_hidden_layers
        passes = 3 if self.stage == "finetune" else 2
        decoder = sum(p.numel() for p in model.language_model.layers.parameters() if p.ndim == 2)
        projector = sum(p.numel() for p in model.multi_modal_projector.parameters() if p.ndim == 2)
        per_row = passes * 2 * decoder * lengths.mean()
        per_row += 3 * 4 * layers * width * float((lengths.astype(float) ** 2).mean())
        per_row += passes * 2 * width * config.text_config.vocab_size * np.mean([len(target) for _, target in tokens])
        per_row += 3 * 2 * projector * self.base.num_image_tokens
        return float(per_row) * self.size.batch_size


class Listener(TrainerCallback):
    """Notes the Trainer's losses and when its steps end."""

    def __init__(self, curve: Curve) -> None:
        self.curve = curve

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:  # noqa: ARG002
        """Note a step; the last log is a summary."""
        if logs and "loss" in logs:
            self.curve.add(float(logs["loss"]))


def films_settings(report_model: ReportModel) -> ImageSettings:
    """Return the image path of a model."""
    return ImageSettings.model_validate(report_model.card.image)


def rows_in_order(num_rows: int, num_drawn: int) -> Iterator[int]:
    """Yield the rows in which radlet's loop goes through them, `num_drawn` at least."""
    epochs = math.ceil(num_drawn / num_rows)
    for epoch in range(epochs):
        yield from (int(row) for row in epoch_rows(SEED, epoch, num_rows, None))


def matmul_peak(dtype: torch.dtype, side: int = 2048) -> float:
    """Return the largest rate of square products, in operations a second, of five tries."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    times = []
    for _ in range(6):
        started = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - started)
    return 2 * side**3 / min(times[1:])


def measure(bench: Bench, rounds: int) -> dict[str, Any]:
    """Alternate the ways to train, and the largest product that the machine does then; return what came out."""
    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[bench.precision]
    peak = matmul_peak(dtype)
    ways = bench.ways()
    for way, go in ways.items():
        if way.endswith(COMPILED):
            go()
    curves: dict[str, list[Curve]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, go in ways.items():
            curves[way].append(go())
            peak = max(peak, matmul_peak(dtype))
    same_order = bench.with_trainer("eager", grouped=False, compiled=False)
    speed = {way: statistics.median(c.samples_per_s for c in found) for way, found in curves.items()}
    best_radlet, best = (max((w for w in ways if w.startswith(who)), key=speed.__getitem__) for who in WHO)
    by_round = [a.samples_per_s / b.samples_per_s for a, b in zip(curves[best_radlet], curves[best], strict=True)]
    ratio = statistics.median(by_round)
    ours = curves[best_radlet][0]
    films = films_in_memory(bench.paths(), films_settings(bench.base), Progress(quiet=True))
    flops = bench.flops_of_step(bench.objective(bench.base, films))
    utilisation = flops * speed[best_radlet] / bench.size.batch_size / peak
    return {
        "samples_per_s": speed,
        "best_radlet": best_radlet,
        "best_trainer": best,
        "ratio": ratio,
        "ratio_low": min(by_round),
        "ratio_high": max(by_round),
        "passes": ratio >= BARS[bench.stage],
        "gflop_a_step": flops / 1e9,
        "peak_gflop_per_s": peak / 1e9,
        "utilisation": utilisation,
        "utilisation_passes": utilisation >= UTILISATION_BAR,
        "largest_loss_difference": max(abs(a - b) for a, b in zip(ours.losses, same_order.losses, strict=True)),
        "losses": ours.losses,
        "trainer_losses": same_order.losses,
        "seconds": [end - ours.ends[0] for end in ours.ends],
        "trainer_seconds": [end - curves[best][0].ends[0] for end in curves[best][0].ends],
    }


def draw(results: list[dict[str, Any]]) -> str:
    """Return an SVG of loss against wall time, one panel a row of the table."""
    width, height, gap = 300, 200, 50
    parts = []
    for number, row in enumerate(results):
        left, top = gap + (number % 2) * (width + gap), gap + (number // 2) * (height + gap)
        lines = [("radlet", "#0a6", row["seconds"], row["losses"])]
        lines.append(("Trainer", "#c40", row["trainer_seconds"], row["trainer_losses"]))
        latest = max(seconds[-1] for _, _, seconds, _ in lines)
        low, high = min(min(y) for *_, y in lines), max(max(y) for *_, y in lines)
        parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        title = f"{row['size']} {row['stage']} {row['precision']}: loss {low:.2f}–{high:.2f} over {latest:.1f} s"
        parts.append(f'<text x="{left}" y="{top - 8}">{title}</text>')
        for place, (name, colour, seconds, losses) in enumerate(lines):
            points = " ".join(
                f"{left + width * x / latest:.1f},{top + height * (high - y) / (high - low):.1f}"
                for x, y in zip(seconds, losses, strict=True)
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="{left + width - 60}" y="{top + 18 + 16 * place}" fill="{colour}">{name}</text>')
    total = gap + math.ceil(len(results) / 2) * (height + gap)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * (width + gap) + gap}" height="{total}"'
    return f'{head} font-family="sans-serif" font-size="12">{"".join(parts)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=["tiny", "30M"])
    parser.add_argument("--stages", nargs="*", choices=TRAINS, default=list(TRAINS))
    parser.add_argument("--precisions", nargs="*", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--patients", type=int, default=250, help="of the synthetic studies")
    parser.add_argument("--out", type=Path, help="folder for the studies; kept, so that the next run finds them")
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    logging.set_verbosity_error()
    os.environ["ACCELERATE_DYNAMO_USE_DYNAMIC"] = "true"  # the Trainer has no other way to say so
    print(f"{torch.get_num_threads()} threads")
    print(f"{'':24} {'radlet/s':>8} {'Trainer/s':>9} {'ratio':>6} {'spread':>11} {'bar':>4} {'use':>5}  loss differs")
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        rows = synthetic_rows(args.out or Path(temporary), args.patients)
        for size in args.sizes:
            base = random_model(SIZES[size], rows)
            (steps, rounds), some = STEPS[size], rows[: SIZES[size].max_rows]
            for stage in args.stages:
                for precision in args.precisions:
                    bench = Bench(SIZES[size], base, some, stage, precision, steps, Path(temporary))
                    row = measure(bench, args.rounds or rounds)
                    results.append({"size": size, "stage": stage, "precision": precision, "bar": BARS[stage], **row})
                    print(told(results[-1]), flush=True)
    if args.json:
        whole = {"threads": torch.get_num_threads(), "rows": results}
        args.json.write_text(json.dumps(whole, indent=1) + "\n")
    if args.svg:
        args.svg.write_text(draw(results))


def told(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    name = f"{row['size']} {row['stage']} {row['precision']}"
    speed = row["samples_per_s"]
    spread = f"{row['ratio_low']:.2f}–{row['ratio_high']:.2f}"
    verdict = f"{'met' if row['passes'] else 'MISSED'} ({row['best_radlet']}; {row['best_trainer']})"
    ours, theirs = speed[row["best_radlet"]], speed[row["best_trainer"]]
    return (
        f"{name:24} {ours:8.1f} {theirs:9.1f} {row['ratio']:6.2f} {spread:>11} "
        f"{row['bar']:4} {row['utilisation']:5.0%} of {row['peak_gflop_per_s']:.0f}  "
        f"{row['largest_loss_difference']:.4f}  {verdict}"
    )


if __name__ == "__main__":
    main()
