"""The objective of `pretrain`: films and reports that belong together, labels, and the language of the reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from radlet.core.config import Config
from radlet.core.records import Example
from radlet.core.registry import nearest
from radlet.models.image_text import ImageTextModel
from radlet.models.prompts import IGNORED
from radlet.models.sequences import encode_report, pad_right
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmStore
from radlet.training.loop import Batch
from radlet.training.losses import LOSSES
from radlet.training.losses.labels import label_cross_entropy
from radlet.training.losses.language import next_token_cross_entropy
from radlet.training.rows import rarity_weights
from radlet.training.world import ALONE, World

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ImageTextLossConfig(Config):
    """How much each part of the objective counts, and how rare labels are helped."""

    contrastive: float = Field(default=1.0, ge=0)
    """Weight of the contrastive loss between films and reports."""
    pairing: str = "contrastive"
    """Which loss that is, by its name among the losses."""
    labels: float = Field(default=1.0, ge=0)
    """Weight of the label head's loss."""
    language: float = Field(default=0.5, ge=0)
    """Weight of the language model's loss on the reports."""
    label_balance: float = Field(default=0.5, ge=0)
    """A positive label weighs (negatives / positives) to this power; 0 counts films alike."""
    row_balance: float = Field(default=0.0, ge=0)
    """Films are drawn by the rarity of their rarest label to this power; 0 draws every film once an epoch."""
    max_pairs: int | None = Field(default=None, ge=2)
    """Reports read of each batch: they stand for the others, whose films teach the label head alone. None reads all."""
    max_text_tokens: int = Field(default=128, ge=3)
    """Longer reports are cut here."""

    @field_validator("pairing")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in LOSSES:
            raise ValueError(f"no loss is called '{name}'.{nearest(name, list(LOSSES))}")
        return name

    @model_validator(mode="after")
    def _something_to_learn(self) -> Self:
        if not (self.contrastive or self.labels or self.language):
            raise ValueError("contrastive, labels and language are all 0: nothing would be learnt")
        return self


class ImageTextObjective:
    """Rows are single films with their study's report and labels.

    Args:
        model: What is trained, all of it.
        tokenizer: Of the language model.
        rows: One film each.
        films: Holds every film of `rows`.
        config: Weights of the parts.
        augmentation: Of the films.
        everyone: The processes among which each batch is shared out; its films and reports are held against all.
    """

    def __init__(
        self,
        model: ImageTextModel,
        tokenizer: "PreTrainedTokenizerBase",
        rows: Sequence[Example],
        films: FilmStore,
        config: ImageTextLossConfig,
        augmentation: AugmentationConfig,
        everyone: World = ALONE,
    ) -> None:
        self._model, self._world = model, everyone
        self.num_rows = len(rows)
        self._config, self._films, self._augmentation = config, films, augmentation
        self._paths = [row.image_paths[0] for row in rows]
        self._targets = label_matrix(rows, model.label_names)
        self._texts = [encode_report(tokenizer, row.report, config.max_text_tokens) for row in rows]
        self._pad = int(tokenizer.pad_token_id)
        groups: dict[str, int] = {}
        self._groups = [groups.setdefault(row.report or "", len(groups)) for row in rows]
        self._positive_weight = _positive_weight(self._targets, config.label_balance)

    @property
    def model(self) -> ImageTextModel:
        """The pair of encoders."""
        return self._model

    def row_weights(self) -> NDArray[np.float64] | None:
        """Draw films with rare labels more often, if the recipe says so."""
        return rarity_weights(self._targets == 1, self._config.row_balance)

    def row_lengths(self) -> None:
        """Films and reports are held against those of their batch, so it has to be a random one."""
        return

    def batch(self, rows: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Return pixel_values (B, 3, S, S), right-padded report tokens (B, T), label targets (B, L) and text groups."""
        pixel_values = self._films.pixel_values([self._paths[row] for row in rows])
        input_ids, attention_mask = pad_right([self._texts[row] for row in rows], self._pad)
        return {
            "pixel_values": self._augmentation.apply(pixel_values, generator),
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "targets": torch.from_numpy(self._targets[rows]),
            "groups": torch.tensor([self._groups[row] for row in rows]),
        }

    def units(self, batch: Batch) -> int:
        """Count films."""
        return len(batch["targets"])

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the weighted parts, each summed over the films of the batch."""
        config, model = self._config, self.model
        pooled = model.pooled(batch["pixel_values"])
        losses = {}
        if config.labels and model.label_names:
            weight = self._positive_weight.to(pooled.device)
            heads = model.label_logits(pooled)
            each = [label_cross_entropy(logits, batch["targets"], weight) for logits in heads]
            losses["labels"] = config.labels * torch.stack(each).mean()
        # A report is more than its begin and end tokens; films without one teach the label head alone.
        with_text = (batch["attention_mask"].sum(1) > 2).nonzero().squeeze(1)
        reports = self._world.each(len(with_text))
        if not sum(reports) or not (config.contrastive or config.language):
            return losses
        to_read = _first(reports, config.max_pairs)
        read = with_text[: to_read[self._world.rank]]
        return losses | self._text_losses(batch, pooled, read, to_read, sum(reports))

    def _text_losses(
        self, batch: Batch, pooled: torch.Tensor, read: torch.Tensor, to_read: list[int], num_reports: int
    ) -> dict[str, torch.Tensor]:
        """Return the losses of the reports that are read, which stand for all reports of the batch.

        Args:
            batch: This process's part of it.
            pooled: Of its films.
            read: Its rows whose reports are read.
            to_read: How many each process reads.
            num_reports: Reports of the batch, of all processes.
        """
        config, model, everyone = self._config, self.model, self._world
        # A process that has nothing to read takes part in the exchanges all the same, with a row that does not count.
        rows = read if len(read) else torch.zeros_like(batch["groups"][:1])
        width = max(int(batch["attention_mask"][rows].sum(1).max()), 1)
        input_ids, attention_mask = batch["input_ids"][rows, :width], batch["attention_mask"][rows, :width]
        hidden = model.hidden_text(input_ids, attention_mask)
        losses = {}
        if config.contrastive:
            images, texts, groups = (
                everyone.rows(own[: len(read)], to_read)
                for own in (
                    model.embed_images(pooled[rows]),
                    model.embed_texts(hidden, attention_mask),
                    batch["groups"][rows],
                )
            )
            # Every process computes the loss of all pairs, and counts its share of it.
            pairing = LOSSES[config.pairing](images, texts, model.logit_scale, groups) / everyone.size
            losses["contrastive"] = config.contrastive * (num_reports / sum(to_read)) * pairing
        if config.language:
            labels = input_ids.masked_fill(attention_mask == 0, IGNORED)
            labels[len(read) :] = IGNORED
            head = model.language_model.get_output_embeddings()
            num_targets = sum(everyone.each(int((labels[:, 1:] != IGNORED).sum())))
            per_token = next_token_cross_entropy(hidden, labels, head) / num_targets
            losses["language"] = config.language * per_token * num_reports
        return losses

    def train_mode(self) -> None:
        """Train everything."""
        self.model.train()


def label_matrix(rows: Sequence[Example], names: Sequence[str]) -> NDArray[np.float32]:
    """Return targets (rows, labels): 1, 0, or NaN where a row does not know a label."""
    values = [[row.labels.get(name, np.nan) for name in names] for row in rows]
    return np.array(values, np.float32).reshape(len(rows), len(names))


def _first(counts: list[int], most: int | None) -> list[int]:
    """Return how many of each process's reports are among the first `most` of all."""
    left = sum(counts) if most is None else most
    taken = []
    for count in counts:
        taken.append(min(count, left))
        left -= taken[-1]
    return taken


def _positive_weight(targets: NDArray[np.float32], power: float) -> torch.Tensor:
    positives = (targets == 1).sum(0)
    negatives = (targets == 0).sum(0)
    ratio = np.maximum(negatives, 1) / np.maximum(positives, 1)
    return torch.from_numpy(np.clip(ratio**power, 1, 20).astype(np.float32))
