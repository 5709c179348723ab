"""What `align` and `finetune` share: rows into an objective, the loop, and the loss on the dev split."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError
from radlet.core.records import Example
from radlet.core.runs import Run
from radlet.data.images import ImageSettings
from radlet.models.freezing import part_is_frozen
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel, encode_films
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmFeatures, FilmStore, films_in_memory
from radlet.training.loop import LoopConfig, Validation, train
from radlet.training.precision import autocast, lay_out, pick_device
from radlet.training.reports import ReportObjective, ReportRowsConfig

# Above this, what a frozen encoder sees is not kept: every step encodes its films anew.
MAX_FEATURE_BYTES = 2 * 1024**3

DraftScore = Callable[[ReportModel, Sequence[Example]], dict[str, float]]


class ReportTrainingConfig(Config):
    """How a report model is trained, whatever part of it trains."""

    rows: ReportRowsConfig = ReportRowsConfig()
    """How reports become training rows."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the films."""
    loop: LoopConfig = LoopConfig()
    """The training loop."""
    select: Literal["loss", "draft_f1_micro", "draft_f1_macro", "draft_exact", "draft_exact_closed"] = "loss"
    """Which validation number picks the best weights: "loss", or a score of drafts written for the dev split: F1 of
    observations, or, of answers, the share that is the expected one."""
    max_dev_rows: int = Field(default=400, ge=1)
    """Rows of the dev split whose loss is measured in validation."""
    num_dev_drafts: int = Field(default=0, ge=0)
    """Dev reports, or answers, drafted and scored in each validation."""

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if self.select != "loss" and not self.num_dev_drafts:
            raise ValueError(f"select = '{self.select}' needs drafts: set num_dev_drafts")
        return self


@dataclass(frozen=True)
class ReportRows:
    """Rows with a target each, by split."""

    train: Sequence[Example]
    dev: Sequence[Example]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "ReportRows":
        """Keep the examples that have a target.

        Raises:
            DataError: A split is empty.
        """
        with_target = [example for example in examples if example.target]
        rows = cls(*([row for row in with_target if row.split == split] for split in ("train", "dev")))
        if not rows.train or not rows.dev:
            raise DataError(f"{len(rows.train)} train and {len(rows.dev)} dev reports; both are needed to train.")
        return rows


def train_on_reports(
    report_model: ReportModel,
    rows: ReportRows,
    prompt: PromptConfig,
    config: ReportTrainingConfig,
    run: Run,
    seed: int,
    draft_score: DraftScore,
    progress: Progress,
) -> int:
    """Train what is trainable in `report_model`, in place, and return the step whose weights it holds.

    Args:
        report_model: Its trainable parameters are trained.
        rows: Training and validation rows.
        prompt: The words around films and indication.
        config: How to train.
        run: Where metrics and states go.
        seed: Of order, augmentation and dropout.
        draft_score: Drafts the given dev rows and scores the drafts.
        progress: Shown while training.
    """
    _check_select(config, answers=rows.train[0].question is not None)
    dev_rows = rows.dev[: config.max_dev_rows]
    paths = [path for row in [*rows.train, *dev_rows] for path in row.image_paths]
    films = load_films(paths, report_model, config, progress) if paths else None
    objective = ReportObjective(report_model, rows.train, films, prompt, config.rows, config.augmentation)
    as_asked = config.rows.model_copy(update={"film_dropout": 0.0})
    check = ReportObjective(report_model, dev_rows, films, prompt, as_asked, AugmentationConfig())

    def measure() -> dict[str, float]:
        numbers = {"loss": _mean_loss(check, config.loop.micro_batch_size)}
        if config.num_dev_drafts:
            numbers |= draft_score(report_model, dev_rows[: config.num_dev_drafts])
        return numbers

    validation = Validation(measure, config.select, higher_is_better=config.select != "loss")
    return train(objective, config.loop, run, seed, validation, progress)


def _check_select(config: ReportTrainingConfig, answers: bool) -> None:
    if config.select != "loss" and config.select.startswith("draft_exact") != answers:
        what, allowed = ("answers", "draft_exact") if answers else ("reports", "draft_f1")
        raise ConfigError(
            f"select = '{config.select}' does not fit: the examples hold {what}. Choose \"loss\" or a {allowed}…."
        )


def load_films(
    paths: Sequence[str], report_model: ReportModel, config: ReportTrainingConfig, progress: Progress
) -> FilmStore | FilmFeatures:
    """Read the films; where neither they nor the encoder change between steps, keep what the encoder sees instead."""
    films = films_in_memory(paths, ImageSettings.model_validate(report_model.card.image), progress)
    model = report_model.model
    shape = report_model.architecture.feature_shape(model.config, report_model.size_px)
    num_bytes = len(set(paths)) * math.prod(shape) * torch.float32.itemsize
    films_change = config.augmentation != AugmentationConfig()
    if films_change or not part_is_frozen(model, "encoder") or num_bytes > MAX_FEATURE_BYTES:
        return films
    device = pick_device()
    lay_out(model, device).eval()
    with autocast(device, config.loop.precision):
        return FilmFeatures(films, paths, lambda pixel_values: encode_films(model, pixel_values.to(device)), progress)


@torch.no_grad()
def _mean_loss(objective: ReportObjective, batch_size: int) -> float:
    """Return the cross-entropy of a target token, in nats."""
    device = next(objective.model.parameters()).device
    total, units = 0.0, 0
    for start in range(0, objective.num_rows, batch_size):
        batch = objective.batch(np.arange(start, min(start + batch_size, objective.num_rows)), torch.Generator())
        units += objective.units(batch)
        on_device = {name: tensor.to(device) for name, tensor in batch.items()}
        total += sum(loss.item() for loss in objective.losses(on_device).values())
    return total / units
