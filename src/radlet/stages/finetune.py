"""Stage `finetune`: an aligned report model in; one that answers in instruction form out.

Projector and language model train together, the latter fully or by a registered tuning method; the encoder stays
frozen unless the recipe says otherwise (LLaVA-Rad, stage 3). With ``films = "none"`` the same recipe makes the
text-only baseline: what can be written from the indication alone. What is left: `checkpoint/`, a plain report model
with the tuning merged, and from a low-rank tuning `adapter/`, what it learnt apart from its base.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from radlet import __version__
from radlet.core.config import StageConfig, of_its_kind
from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.core.records import Example
from radlet.core.runs import open_run, run_digest
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.inference.drafter import processor_options
from radlet.inference.scoring import draft_score
from radlet.models.adapters import save_adapter, weights_digest
from radlet.models.freezing import PARTS, count_by_part, set_trainable
from radlet.models.frozen_loading import FrozenForm
from radlet.models.frozen_weights import WeightsDtype, hold_weights
from radlet.models.prompts import PLAIN, PromptConfig
from radlet.models.report_model import ReportModel, checkpoint_folder, load_report_model, read_card, save_report_model
from radlet.models.tunings import TUNINGS
from radlet.models.tunings.base import Tuning
from radlet.stages.announce import announce_finished, announce_start, announce_trainable
from radlet.training.film_features import FeatureCacheConfig
from radlet.training.report_training import ReportRows, ReportTrainingConfig, train_on_reports
from radlet.training.state import clear_states
from radlet.training.world import shared_run, world

if TYPE_CHECKING:
    from rich.console import Console


class FinetuneConfig(StageConfig):
    """Settings of the finetune stage."""

    without_effect: ClassVar[frozenset[str]] = StageConfig.without_effect | {"feature_cache"}

    examples: Path
    """Run directory of `build`."""
    checkpoint: Path
    """Run directory of `align` (or of an earlier `finetune`)."""
    films: Literal["as_aligned", "none"] = "as_aligned"
    """Which films the model is shown: those of `align`, or none for the text-only baseline."""
    tuning: dict[str, Any] = {"kind": "full"}
    """How the language model is adapted: a table with its `kind` and that method's settings."""
    train: tuple[Literal["encoder", "projector", "language_model"], ...] = ("projector", "language_model")
    """The parts that train; the tuning is that of the language model. Without films the language model alone trains."""
    weights: WeightsDtype = "fp32"
    """Dtype of the weights while training: "bf16" holds frozen ones in half the bytes, what trains is always fp32."""
    deliver: Literal["merged", "adapter"] = "merged"
    """"adapter" leaves out the merged checkpoint: `radlet merge` makes it from base and adapter."""
    prompt: PromptConfig | None = None
    """The words around films and indication; none given: the checkpoint's own, or, after `align`, which has no words,
    the defaults below."""
    guidance: float = Field(default=1.0, ge=1)
    """How much the films count when the model drafts; above 1 it needs rows.film_dropout to know the words without."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """Longest draft, in tokens; none given: the checkpoint's own."""
    feature_cache: FeatureCacheConfig = FeatureCacheConfig()
    """Where what the frozen encoder sees is kept between runs."""
    training: ReportTrainingConfig = ReportTrainingConfig()
    """How the model is trained."""

    @field_validator("tuning")
    @classmethod
    def _known(cls, tuning: dict[str, Any]) -> dict[str, Any]:
        of_its_kind(TUNINGS, tuning)
        return tuning

    @model_validator(mode="after")
    def _can_deliver(self) -> Self:
        adapts = "language_model" in self.train and of_its_kind(TUNINGS, self.tuning).adapts
        if self.deliver == "adapter" and not adapts:
            raise ValueError(
                "deliver = 'adapter' needs a language model that trains by a low-rank tuning, not "
                f"train = {list(self.train)} and tuning.kind = '{self.tuning['kind']}'. Set tuning.kind = 'lora', or "
                "deliver = 'merged'"
            )
        return self


def run(config: FinetuneConfig, console: "Console | None" = None) -> Path:
    """Tune the model and return the run directory."""
    tuning: Tuning = of_its_kind(TUNINGS, config.tuning)
    run_ = shared_run(
        lambda: open_run(config, "finetune", {"examples": config.examples, "checkpoint": config.checkpoint})
    )
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "finetune", run_.path)
    announce_start(progress.console, "finetune", run_.path)
    torch.manual_seed(config.seed)
    base_folder = checkpoint_folder(config.checkpoint)
    base = load_report_model(base_folder, _frozen_form(config, tuning, read_card(base_folder, "report_model").films))
    lineage = {"align": run_digest(config.checkpoint), "build": run_digest(config.examples)}
    films = _films(config, base.card.films)
    rows = ReportRows.of(_shown(read_examples(config.examples), films))
    parts = _parts(config, films)
    prompt = config.prompt or (PromptConfig() if base.card.prompt == PLAIN else base.card.prompt)
    card = base.card.model_copy(
        update={
            "radlet_version": __version__,
            "prompt": prompt,
            "films": films,
            "target_section": rows.train[0].target_section,
            "guidance": config.guidance,
            "max_new_tokens": config.max_new_tokens or base.card.max_new_tokens,
            "tuning": tuning.kind if "language_model" in parts else None,
            "lineage": base.card.lineage | lineage,
        }
    )
    report_model = ReportModel(base.model, base.tokenizer, card)
    set_trainable(report_model.model, parts - {"language_model"})
    if "language_model" in parts:
        tuning.apply(report_model.model)
    hold_weights(report_model.model, config.weights)
    announce_trainable(progress.console, count_by_part(report_model.model))
    best_step = train_on_reports(
        report_model, rows, prompt, config.training, run_, config.seed, draft_score, progress, config.feature_cache
    )
    if not world().leads:
        return run_.path
    report_model.model.cpu()
    if tuning.adapts and "language_model" in parts:
        save_adapter(report_model, tuning, weights_digest(base_folder), run_.path / "adapter")
    if config.deliver == "merged":
        merged = ReportModel(tuning.merge(report_model.model.float()), report_model.tokenizer, card)
        save_report_model(merged, run_.path / "checkpoint", processor_options(card))
    progress.console.print(f"  weights of step {best_step}")
    clear_states(run_)
    run_.finish()
    return run_.path


def _films(config: FinetuneConfig, aligned: str) -> str:
    return aligned if config.films == "as_aligned" else config.films


def _frozen_form(config: FinetuneConfig, tuning: Tuning, aligned_films: str) -> FrozenForm:
    """Return the form that what stays frozen is read in: a large base never has its full size in memory."""
    parts = _parts(config, _films(config, aligned_films))
    adapted = "language_model" in parts and tuning.adapts
    frozen = set(PARTS) - parts | ({"language_model"} if adapted else set())
    return FrozenForm(
        tuning.base_quantisation if "language_model" in parts else None,
        frozenset(frozen) if config.weights == "bf16" else frozenset(),
    )


def _parts(config: FinetuneConfig, films: str) -> set[str]:
    """Return the parts that train.

    Raises:
        ConfigError: None is left.
    """
    parts: set[str] = {part for part in config.train if films != "none" or part == "language_model"}
    if not parts:
        raise ConfigError(f"train = {list(config.train)}: nothing trains on films = '{films}'. Add 'language_model'.")
    return parts


def _shown(examples: list[Example], films: str) -> list[Example]:
    if films == "none":
        blind = select_films(examples, "frontal")
        return [example.model_copy(update={"image_paths": (), "views": ()}) for example in blind]
    return select_films(examples, films)  # type: ignore[arg-type]
