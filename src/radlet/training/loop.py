"""The one training loop: every stage that moves weights hands it an objective.

It is exactly resumable: the order of the rows, the augmentation and the dropout of a step depend on the seed and the
step alone, so a run killed at any moment and started again ends with the weights of an uninterrupted one.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn
from torch.distributed.tensor import DTensor

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError
from radlet.core.runs import Run
from radlet.models.blocks import restore_blocks
from radlet.models.devices import pick_device
from radlet.training.checkpointing import checkpoint_blocks
from radlet.training.compilation import compile_blocks
from radlet.training.ema import WeightAverage
from radlet.training.optimizer import RateScales, build_optimizer, idle_rates, set_rate
from radlet.training.parallel import Layout, Parallel, layout_of
from radlet.training.precision import Precision, autocast, lay_out
from radlet.training.state import StateStore, TrainingState
from radlet.training.world import ALONE, World, world

Batch = dict[str, torch.Tensor]


class LoopConfig(Config):
    """How long, how fast and how exactly to train."""

    epochs: float = Field(default=1.0, gt=0)
    """Passes over the training rows."""
    max_steps: int | None = Field(default=None, ge=0)
    """Stop after so many optimiser steps, whatever `epochs` says; the schedule ends there too. 0 trains nothing."""
    micro_batch_size: int = Field(default=32, ge=1)
    """Rows computed at once on one device."""
    grad_accum_steps: int = Field(default=1, ge=1)
    """Micro-batches to one optimiser step, of all processes together: their number changes no result."""
    lr: float = Field(default=1e-3, gt=0)
    """Largest learning rate."""
    lr_scale: RateScales = RateScales()
    """The rate of each part, relative to `lr`."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor on the rate from each block of encoder and language model to the one below it; 1 moves all alike."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay of matrices; vectors are never decayed."""
    warmup_share: float = Field(default=0.03, ge=0, le=1)
    """Share of the steps over which the rate rises."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient of a step."""
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    """Validate and deliver a moving average of the weights that keeps this share of itself at each step, like 0.999."""
    checkpoint_activations: bool = False
    """Compute every block anew in the backward pass: less memory, the same numbers, about a third more time."""
    compile: bool = False
    """Compile the blocks: the same numbers but for rounding. A step of a small model takes a sixth (fp32) to a third
    (bf16) less time, after about 20 s of processor time in the first one. Needs a C++ compiler, on a GPU Triton."""
    precision: Precision = "auto"
    """"bf16", "fp32", or "auto": bfloat16 where the hardware has it."""
    num_evals: int = Field(default=4, ge=1)
    """Validations, evenly spaced; the last one falls on the last step."""
    save_every_steps: int = Field(default=100, ge=1)
    """Steps between saved training states, from which a killed run resumes."""
    keep: Literal["best", "last"] = "best"
    """Which weights the stage delivers."""
    parallel: Parallel = "auto"
    """Of several processes, "ddp" gives each all the weights, "fsdp" a part of each; "auto" is DDP. One process alone
    has no use for it."""

    @property
    def global_batch_size(self) -> int:
        """Rows to one optimiser step, of all processes together."""
        return self.micro_batch_size * self.grad_accum_steps

    def num_steps(self, num_rows: int) -> int:
        """Return the number of optimiser steps for `num_rows` training rows."""
        steps = max(1, math.ceil(self.epochs * num_rows / self.global_batch_size))
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def lr_at(self, step: int, num_steps: int) -> float:
        """Return the rate of a step (0-based): linear warm-up, then half a cosine down to zero."""
        warmup = math.ceil(self.warmup_share * num_steps)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, num_steps - warmup)))


class Objective(Protocol):
    """What is trained: a model, its rows, and a loss that sums over units."""

    num_rows: int

    @property
    def model(self) -> nn.Module:
        """The model whose trainable parameters are trained."""

    def row_weights(self) -> NDArray[np.float64] | None:
        """Return how often each row is drawn, relative to the others; None draws every row once an epoch."""

    def row_lengths(self) -> NDArray[np.int64] | None:
        """Return how long each row is, so that a step can pad less; None where a row's company in a batch matters."""

    def batch(self, rows: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Return the tensors of some rows; random changes come from `generator`."""

    def units(self, batch: Batch) -> int:
        """Return over how many units (rows, target tokens) the losses of this batch sum."""

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted sums whose total is minimised."""

    def train_mode(self) -> None:
        """Put what trains into training mode and what is frozen into evaluation mode."""


@dataclass(frozen=True)
class Validation:
    """How the loop judges the weights at hand.

    Attributes:
        measure: Returns named numbers; the model is in evaluation mode and no gradients are kept.
        metric: Which of them picks the best weights.
        higher_is_better: Its direction.
    """

    measure: Callable[[], dict[str, float]]
    metric: str
    higher_is_better: bool


def epoch_rows(seed: int, epoch: int, num_rows: int, weights: NDArray[np.float64] | None) -> NDArray[np.int64]:
    """Return the rows of an epoch in their order, from the seed and the epoch alone."""
    generator = np.random.default_rng([seed, epoch])
    if weights is None:
        return generator.permutation(num_rows)
    return generator.choice(num_rows, size=num_rows, p=weights / weights.sum())


class _Rows:
    """The endless sequence of rows, cut into micro-batches; any position is found without walking there."""

    def __init__(self, objective: Objective, seed: int) -> None:
        self._objective, self._seed = objective, seed
        self._lengths = objective.row_lengths()
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def step(self, step: int, config: LoopConfig, world: World = ALONE) -> list[NDArray[np.int64]]:
        """Return this process's rows of a step by micro-batch.

        Rows of like length share a micro-batch, which changes no sum of the step. Every process has the same number of
        micro-batches; one of them may be empty. Where a row's company matters, each micro-batch is shared out.
        """
        first = step * config.global_batch_size
        rows = np.array([self._row(position) for position in range(first, first + config.global_batch_size)])
        if self._lengths is None:
            return [np.array_split(batch, world.size)[world.rank] for batch in np.split(rows, config.grad_accum_steps)]
        rows = rows[np.argsort(self._lengths[rows], kind="stable")]
        if world.size == 1:
            return np.split(rows, config.grad_accum_steps)
        most = -(-len(rows) // world.size)
        return np.array_split(rows[world.rank :: world.size], -(-most // config.micro_batch_size))

    def _row(self, position: int) -> int:
        epoch, offset = divmod(position, self._objective.num_rows)
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = epoch_rows(self._seed, epoch, self._objective.num_rows, self._objective.row_weights())
        return int(self._order[offset])


def train(
    objective: Objective, config: LoopConfig, run: Run, seed: int, validation: Validation, progress: Progress
) -> int:
    """Train the objective's model in place and return the step whose weights it now holds.

    Rows of ``metrics.jsonl``: every step its losses, rate and gradient norm; every validation its numbers. Of several
    processes, the leader's model holds the weights in the end.

    Raises:
        ConfigError: There are more processes than rows to share.
        DataError: There are no training rows, or the loss stopped being a number.
    """
    if objective.num_rows == 0:
        raise DataError("No training rows are left. Look into the build run's summary.json for what was dropped.")
    everyone = world()
    _check_shares(config, everyone, objective.row_lengths() is None)
    model = lay_out(objective.model, pick_device())
    if config.compile:
        compile_blocks(model)
    if config.checkpoint_activations:
        checkpoint_blocks(model)
    layout = layout_of(config.parallel, model, everyone)
    for idle in idle_rates(model, config.lr_scale, config.layer_decay):
        progress.console.print(f"  [yellow]loop.{idle}[/]")
    optimizer = build_optimizer(model, config.lr, config.weight_decay, config.lr_scale, config.layer_decay)
    average = WeightAverage(optimizer, config.ema_decay)
    num_steps = config.num_steps(objective.num_rows)
    store = StateStore(run, model, optimizer, everyone)
    state = store.resume()
    if state.step:
        progress.console.print(f"  resuming after step {state.step} of {num_steps}")
    rows = _Rows(objective, seed)
    eval_steps = {round((i + 1) * num_steps / config.num_evals) for i in range(config.num_evals)} | {num_steps}
    objective.train_mode()
    for step in progress.track(range(state.step, num_steps), "steps", num_steps - state.step):
        torch.manual_seed(_step_seed(seed, step, everyone))
        lr = config.lr_at(step, num_steps)
        set_rate(optimizer, lr)
        share = _share(objective, config, rows, seed, step, everyone)
        values = _step(objective, optimizer, config, layout, share, step)
        average.update()
        run.log(step=step + 1, lr=lr, **values)
        if step + 1 in eval_steps:
            with average.in_place():
                state = _validate(model, run, validation, store, state.at(step + 1), layout)
            objective.train_mode()
        if (step + 1) % config.save_every_steps == 0 or step + 1 in eval_steps:
            state = state.at(step + 1)
            store.save(state)
    if config.keep == "last":
        average.deliver()
    layout.restore()
    if config.keep == "best" and num_steps and everyone.leads:
        store.load_best()
    restore_blocks(model)
    model.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    return state.best_step if config.keep == "best" and num_steps else num_steps


def _check_shares(config: LoopConfig, everyone: World, company_matters: bool) -> None:
    size = config.micro_batch_size if company_matters else config.global_batch_size
    if everyone.size > size:
        name = "micro_batch_size" if company_matters else "micro_batch_size x grad_accum_steps"
        raise ConfigError(
            f"{everyone.size} processes cannot share {size} rows (loop.{name}). Raise it, or start fewer processes."
        )


def _step_seed(seed: int, step: int, everyone: World) -> int:
    """Return the seed of a step's dropout and augmentation, which each process draws for its own rows."""
    first = seed * 1_000_003 + step
    if everyone.leads:
        return first
    return int(np.random.SeedSequence([first, everyone.rank]).generate_state(1)[0])


@dataclass(frozen=True)
class _Share:
    """What one process computes of a step.

    Attributes:
        batches: By micro-batch.
        counts: Of each batch 1, or 0 where it stands for an empty one: every process takes part in every exchange.
        units: Over how many units the losses of this share sum.
    """

    batches: list[Batch]
    counts: list[int]
    units: int


def _share(objective: Objective, config: LoopConfig, rows: _Rows, seed: int, step: int, everyone: World) -> _Share:
    generator = torch.Generator().manual_seed(_step_seed(seed, step, everyone))
    chosen = rows.step(step, config, everyone)
    batches = [objective.batch(some if len(some) else chosen[0][:1], generator) for some in chosen]
    counts = [min(len(some), 1) for some in chosen]
    units = sum(objective.units(batch) for batch, count in zip(batches, counts, strict=True) if count)
    return _Share(batches, counts, units)


def _step(
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    config: LoopConfig,
    layout: Layout,
    share: _Share,
    step: int,
) -> dict[str, float]:
    device = next(objective.model.parameters()).device
    # Dividing by the units of the whole step, not of each micro-batch, keeps the gradient that of one large batch.
    units = max(layout.world.sums(share.units)[0], 1)
    sums: dict[str, float] = {}
    for number, (batch, count) in enumerate(zip(share.batches, share.counts, strict=True)):
        on_device = {name: tensor.to(device) for name, tensor in batch.items()}
        last = number == len(share.batches) - 1
        with nullcontext() if last else layout.accumulating():
            with autocast(device, config.precision):
                losses = layout.run(partial(objective.losses, on_device))
            # Gradients are averaged over the processes, and have to be summed.
            total = torch.stack(list(losses.values())).sum() / units * (count * layout.world.size)
            total.backward()  # type: ignore[no-untyped-call]
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() * count / units
    sums = dict(zip(sums, layout.world.sums(*sums.values()), strict=True))
    norm = _clip(optimizer, config.clip_norm)
    if not math.isfinite(norm):
        raise DataError(f"The loss stopped being a number at step {step + 1}. Lower loop.lr, now {config.lr}.")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": sum(sums.values()), **{f"loss_{name}": value for name, value in sums.items()}, "grad_norm": norm}


def _clip(optimizer: torch.optim.Optimizer, clip_norm: float) -> float:
    """Clip the gradient of all parameters together and return its norm before that."""
    norm = nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], clip_norm)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


@torch.no_grad()
def _validate(
    model: nn.Module, run: Run, validation: Validation, store: StateStore, state: TrainingState, layout: Layout
) -> TrainingState:
    model.eval()
    numbers = layout.measured(validation.measure)
    run.log(step=state.step, **{f"val_{name}": value for name, value in numbers.items()})
    value = numbers[validation.metric] if validation.higher_is_better else -numbers[validation.metric]
    if state.best_value is not None and value <= state.best_value:
        return state
    store.save_best()
    return state.improved(value)
