"""Stage `pretrain`: examples in; an image encoder and a language model that share one embedding space out.

Films of every view train the encoder, by contrast with their reports and by labels; the reports train the language
model. What is left: `checkpoint/`, an image-text model.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from radlet import __version__
from radlet.core.config import StageConfig
from radlet.core.console import Progress
from radlet.core.errors import ConfigError, DataError
from radlet.core.records import Example
from radlet.core.runs import open_run, write_atomically
from radlet.data.examples import select_films
from radlet.data.images import ImageSettings
from radlet.data.manifests import read_examples
from radlet.data.preprocessors import check_agreement, read_preprocessor
from radlet.metrics.auroc import label_aurocs
from radlet.metrics.retrieval import rank
from radlet.models.encoders import EncoderConfig, HybridEncoderConfig, TransformersEncoderConfig
from radlet.models.freezing import count_parameters
from radlet.models.image_text import ImageTextModel
from radlet.models.language import LanguageModelConfig
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import CARD, ModelCard
from radlet.stages.announce import announce_finished, announce_start, announce_trainable
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import films_in_memory
from radlet.training.image_text import ImageTextLossConfig, ImageTextObjective, label_matrix
from radlet.training.loop import LoopConfig, Validation, train
from radlet.training.state import clear_states
from radlet.training.world import shared_run, world

if TYPE_CHECKING:
    from rich.console import Console


class PretrainConfig(StageConfig):
    """Settings of the pretrain stage."""

    examples: Path
    """Run directory of `build`."""
    image: ImageSettings = ImageSettings()
    """The image path; every later stage inherits it. Left out, it is that of the tower at `encoder.path`; a given one
    must agree with it."""
    encoder: EncoderConfig = HybridEncoderConfig()
    """The image encoder."""
    language_model: LanguageModelConfig = LanguageModelConfig()
    """The language model, which is also the text side."""
    embed_dim: int = Field(default=128, ge=1)
    """Width of the shared embedding space."""
    films: Literal["each", "frontal"] = "each"
    """"each" trains on films of every view, "frontal" on PA and AP alone."""
    loss: ImageTextLossConfig = ImageTextLossConfig()
    """The parts of the objective."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of the films."""
    loop: LoopConfig = LoopConfig()
    """The training loop."""
    select: Literal["mean_auroc", "loss"] = "mean_auroc"
    """Which validation number picks the best weights."""
    max_dev_films: int = Field(default=600, ge=1)
    """Films of the dev split used in validation."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_tower_was_trained(cls, values: Any) -> Any:
        """Fill in the image path of a published tower where the recipe gives none."""
        encoder = values.get("encoder") if isinstance(values, dict) else None
        if not isinstance(encoder, dict) or not encoder.get("path") or "image" in values:
            return values
        own = read_preprocessor(Path(encoder["path"]))
        return values if own is None else values | {"image": own.model_dump()}

    @model_validator(mode="after")
    def _agrees_with_the_tower(self) -> Self:
        if isinstance(self.encoder, TransformersEncoderConfig) and self.encoder.path is not None:
            own = read_preprocessor(self.encoder.path)
            if own is not None:
                check_agreement(self.image, own, self.encoder.path, sizes_may_differ=self.encoder.interpolate)
        return self


def run(config: PretrainConfig, console: "Console | None" = None) -> Path:
    """Train the pair of encoders and return the run directory.

    Raises:
        DataError: The examples are missing or hold nothing to train on.
    """
    run_ = shared_run(lambda: open_run(config, "pretrain", {"examples": config.examples}))
    progress = Progress(console)
    if run_.finished:
        return announce_finished(progress.console, "pretrain", run_.path)
    announce_start(progress.console, "pretrain", run_.path)
    rows = select_films(read_examples(config.examples), config.films)
    train_rows = [row for row in rows if row.split == "train"]
    dev_rows = [row for row in rows if row.split == "dev"][: config.max_dev_films]
    if not train_rows or not dev_rows:
        raise DataError(f"{config.examples}: {len(train_rows)} train and {len(dev_rows)} dev films; both are needed.")
    label_names = tuple(sorted({name for row in train_rows for name in row.labels}))
    dev_labels = label_matrix(dev_rows, label_names)
    if config.select == "mean_auroc" and not ((dev_labels == 1).any(0) & (dev_labels == 0).any(0)).any():
        raise ConfigError(
            f"select = 'mean_auroc' needs a label that some of the {len(dev_rows)} dev films have and some have not. "
            "Choose 'loss', or build with labels and a larger dev split."
        )
    torch.manual_seed(config.seed)
    language_model, tokenizer = config.language_model.build(lambda: _corpus(train_rows))
    encoder = config.encoder.build(config.image.size_px)
    model = ImageTextModel(
        encoder,
        language_model,
        label_names,
        config.embed_dim,
        config.encoder.feature_layer,
        config.image.size_px,
    )
    announce_trainable(
        progress.console,
        {
            "encoder": count_parameters(model, "encoder."),
            "language_model": count_parameters(model, "language_model."),
            "heads": count_parameters(model, ("image_", "label_", "class_", "text_", "logit_")),
        },
    )
    films = films_in_memory([row.image_paths[0] for row in [*train_rows, *dev_rows]], config.image, progress)
    objective = ImageTextObjective(model, tokenizer, train_rows, films, config.loss, config.augmentation, world())
    every_report = config.loss.model_copy(update={"max_pairs": None})
    check = ImageTextObjective(model, tokenizer, dev_rows, films, every_report, AugmentationConfig())
    validation = Validation(lambda: _measure(check, dev_rows), config.select, higher_is_better=config.select != "loss")
    best_step = train(objective, config.loop, run_, config.seed, validation, progress)
    if not world().leads:
        return run_.path
    card = ModelCard(
        radlet_version=__version__,
        kind="image_text",
        image=config.image.model_dump(mode="json"),
        image_digest=config.image.digest,
        label_names=label_names,
        feature_layer=config.encoder.feature_layer,
    )
    model.cpu().save(run_.path / "checkpoint", tokenizer)
    write_atomically(run_.path / "checkpoint" / CARD, card.model_dump_json(indent=2) + "\n")
    progress.console.print(f"  weights of step {best_step}")
    clear_states(run_)
    run_.finish()
    return run_.path


def _corpus(rows: Sequence[Example]) -> list[str]:
    """Reports, and the prompts around them, so that neither falls to pieces in the tokenizer."""
    prompts = [PromptConfig().render(1, row.indication, row.question) for row in rows]
    texts = {text for row in rows for text in (row.report, row.target) if text}
    return [*sorted(texts), *sorted(set(prompts))]


@torch.no_grad()
def _measure(objective: ImageTextObjective, rows: Sequence[Example]) -> dict[str, float]:
    """Return the loss by parts, the mean AUROC of the labels and image-to-text recall on the dev rows."""
    model = objective.model
    device = next(model.parameters()).device
    sums: dict[str, float] = {}
    logits, images, texts = [], [], []
    for start in range(0, len(rows), 64):
        batch = objective.batch(np.arange(start, min(start + 64, len(rows))), torch.Generator())
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        for name, value in objective.losses(batch).items():
            sums[name] = sums.get(name, 0.0) + value.item()
        pooled = model.pooled(batch["pixel_values"])
        logits.append(model.label_logits(pooled).mean(0).cpu().numpy())
        images.append(model.embed_images(pooled).cpu().numpy())
        hidden = model.hidden_text(batch["input_ids"], batch["attention_mask"])
        texts.append(model.embed_texts(hidden, batch["attention_mask"]).cpu().numpy())
    numbers = {f"loss_{name}": value / len(rows) for name, value in sums.items()}
    numbers["loss"] = sum(numbers.values())
    aurocs = label_aurocs(np.concatenate(logits), label_matrix(rows, model.label_names), model.label_names)
    if aurocs:
        numbers["mean_auroc"] = float(np.mean(list(aurocs.values())))
    ranks = rank(np.concatenate(images), np.concatenate(texts), [row.report or "" for row in rows])
    numbers["image_to_text_recall_at_5"] = float(np.mean(ranks.image_to_text <= 5))
    return numbers
