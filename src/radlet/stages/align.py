"""Stage `align`: an image encoder and a language model in; a report model whose projector translates between them out.

Unless the recipe says otherwise, encoder and language model are frozen and only the projector trains, on films and
their findings without any question (LLaVA-Rad, stage 2). What is left: `checkpoint/`, a report model.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field

from radlet import __version__
from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.core.runs import open_run, run_digest
from radlet.data.examples import select_films
from radlet.data.images import ImageSettings, load_pixel_values
from radlet.data.manifests import read_examples
from radlet.inference.drafter import processor_options
from radlet.inference.scoring import draft_score
from radlet.models.freezing import count_by_part, set_trainable
from radlet.models.frozen_weights import WeightsDtype, hold_weights
from radlet.models.language import LanguageModelConfig
from radlet.models.prompts import PLAIN
from radlet.models.report_model import ModelCard, assemble, save_report_model
from radlet.retrieval.embedding import Embedder
from radlet.stages.announce import announce_finished, announce_start, announce_trainable
from radlet.training.calibration import calibrate_projector
from radlet.training.report_training import ReportRows, ReportTrainingConfig, train_on_reports
from radlet.training.state import clear_states

if TYPE_CHECKING:
    from rich.console import Console


class AlignConfig(StageConfig):
    """Settings of the align stage."""

    examples: Path
    """Run directory of `build`."""
    encoder: Path
    """Run directory of `pretrain`."""
    language_model: LanguageModelConfig | None = None
    """Another language model than the one of `pretrain`, by local path."""
    films: Literal["frontal", "frontal_and_lateral"] = "frontal"
    """Which films of a study the model is shown; later stages inherit it."""
    keep_class_token: bool = False
    """Show the language model the encoder's class token before the patches; LLaVA-Rad drops it."""
    train: tuple[Literal["encoder", "projector", "language_model"], ...] = Field(default=("projector",), min_length=1)
    """The parts that train."""
    weights: WeightsDtype = "fp32"
    """Dtype of the weights while training: "bf16" holds frozen ones in half the bytes, what trains is always fp32."""
    training: ReportTrainingConfig = ReportTrainingConfig()
    """How the projector is trained."""


def run(config: AlignConfig, console: "Console | None" = None) -> Path:
    """Train the projector and return the run directory."""
    run_ = open_run(config, "align", {"examples": config.examples, "encoder": config.encoder})
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "align", run_.path)
    announce_start(progress.console, "align", run_.path)
    torch.manual_seed(config.seed)
    pair = Embedder.load(config.encoder)
    language_model, tokenizer = pair.model.language_model, pair.tokenizer
    if config.language_model is not None:
        language_model, tokenizer = config.language_model.build(list)
    rows = ReportRows.of(select_films(read_examples(config.examples), config.films))
    if rows.train[0].question:
        raise ConfigError(
            f"examples = {config.examples}: holds questions (section = 'answer'), and align shows none. Give a build "
            "of findings or captions; the questions are for finetune."
        )
    card = ModelCard(
        radlet_version=__version__,
        kind="report_model",
        image=pair.card.image,
        image_digest=pair.card.image_digest,
        prompt=PLAIN,
        films=config.films,
        target_section=rows.train[0].target_section,
        feature_layer=pair.card.feature_layer,
        lineage={"pretrain": run_digest(config.encoder), "build": run_digest(config.examples)},
    )
    report_model = assemble(pair.model.encoder, language_model, tokenizer, card, config.keep_class_token)
    calibrate_projector(report_model.model, _some_films(rows, pair.image_settings))
    set_trainable(report_model.model, set(config.train))
    hold_weights(report_model.model, config.weights)
    announce_trainable(progress.console, count_by_part(report_model.model))
    best_step = train_on_reports(report_model, rows, PLAIN, config.training, run_, config.seed, draft_score, progress)
    report_model.model.float().cpu()
    save_report_model(report_model, run_.path / "checkpoint", processor_options(card))
    progress.console.print(f"  weights of step {best_step}")
    clear_states(run_)
    run_.finish()
    return run_.path


def _some_films(rows: ReportRows, settings: ImageSettings) -> torch.Tensor:
    """Return up to 64 training films, evenly spaced over the rows, as (B, 3, S, S)."""
    step = max(1, len(rows.train) // 64)
    paths = [Path(row.image_paths[0]) for row in rows.train[::step]][:64]
    return torch.from_numpy(np.stack([load_pixel_values(path, settings) for path in paths]))
