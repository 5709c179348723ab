"""What `align` and `finetune` share: rows into an objective, the loop, and the loss on the dev split."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError

from radlet.core.config import Config
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError
from radlet.core.records import Example
from radlet.core.runs import Run
from radlet.data.images import ImageSettings
from radlet.models.devices import pick_device
from radlet.models.freezing import part_is_frozen
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel, encode_films
from radlet.training.augmentation import AugmentationConfig
from radlet.training.film_features import (
    FeatureCacheConfig,
    FilmFeatures,
    digest_films,
    features_key,
    films_held,
    make_room,
)
from radlet.training.films import FilmStore, films_in_memory
from radlet.training.loop import LoopConfig, Validation, train
from radlet.training.precision import autocast, lay_out
from radlet.training.reports import ReportObjective, ReportRowsConfig
from radlet.training.world import world

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
    cache: FeatureCacheConfig | None = None,
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
        cache: Where what a frozen encoder sees is kept; by default among the runs.
    """
    _check_select(config, answers=rows.train[0].question is not None)
    dev_rows = rows.dev[: config.max_dev_rows]
    paths = [path for row in [*rows.train, *dev_rows] for path in row.image_paths]
    cache = cache or FeatureCacheConfig()
    root = (cache.dir or run.path.parents[1] / "cache") / "film_features"
    films = load_films(paths, report_model, config, (root, cache.max_gb * 1e9), progress) if paths else None
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
    paths: Sequence[str],
    report_model: ReportModel,
    config: ReportTrainingConfig,
    cache: tuple[Path, float],
    progress: Progress,
) -> FilmStore | FilmFeatures:
    """Read the films; where neither they nor the encoder change between steps, look up what the encoder sees instead.

    Args:
        paths: Every film that will be asked for.
        report_model: Whose encoder sees them.
        config: Augmentation and precision.
        cache: Folder of what encoders saw, and its largest size in bytes.
        progress: Shown while reading and encoding.
    """
    settings = ImageSettings.model_validate(report_model.card.image)
    model = report_model.model
    if config.augmentation != AugmentationConfig() or not part_is_frozen(model, "encoder"):
        return films_in_memory(paths, settings, progress)
    device = pick_device()
    lay_out(model, device).eval()

    def encode(missing: Sequence[str]) -> torch.Tensor:
        return encode_films(model, films_in_memory(paths, settings, progress).pixel_values(missing).to(device))

    root, max_bytes = cache
    with autocast(device, config.loop.precision):
        precision = "bf16" if torch.is_autocast_enabled(device.type) else "fp32"
        folder = root / features_key(report_model, precision, device)
        shape = report_model.architecture.feature_shape(model.config, report_model.size_px)
        film_bytes = math.prod(shape) * torch.float32.itemsize
        all_bytes = len(set(paths)) * film_bytes
        # Where they can never fit, every film would be read for its digest in vain.
        digests = digest_films(paths) if all_bytes <= max_bytes else {}

        def prepare() -> list[int] | str:
            """Encode what is missing and return how many films were found and encoded, or why there is no room."""
            num_bytes = len(set(digests.values()) - films_held(folder)) * film_bytes if digests else all_bytes
            try:
                if num_bytes and not make_room(root, folder.name, num_bytes, max_bytes):
                    return (
                        f"{num_bytes / 1e9:.1f} GB of features are more than feature_cache.max_gb = "
                        f"{max_bytes / 1e9:g} leaves room for"
                    )
                features = FilmFeatures(folder, digests, encode, progress)
            except (OSError, SafetensorError) as error:
                # A disk that is full or read-only costs time, not the run.
                return f"{root} cannot be written ({getattr(error, 'strerror', None) or error})"
            return [features.num_found, features.num_encoded]

        # One process decides and encodes for all: they cannot train as one if only some of them look features up.
        prepared = world().told(prepare)
        if isinstance(prepared, str):
            progress.console.print(f"  films are encoded at every step: {prepared}")
            return films_in_memory(paths, settings, progress)
        num_found, num_encoded = prepared
        features = FilmFeatures(folder, digests, encode, progress, verify=False)  # the preparing process has
    progress.console.print(
        f"  features of {num_found + num_encoded} films: {num_found} found, {num_encoded} encoded  [dim]{folder}[/]"
    )
    return features


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
