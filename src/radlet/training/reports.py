"""The objective of `align` and `finetune`: write the report of the films shown."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel

from radlet.core.config import Config
from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Example, State
from radlet.models.freezing import is_frozen
from radlet.models.prompts import IGNORED, PromptConfig
from radlet.models.report_model import ReportModel
from radlet.models.sequences import pad_right
from radlet.training.augmentation import AugmentationConfig
from radlet.training.film_features import FilmFeatures
from radlet.training.films import FilmStore
from radlet.training.loop import Batch
from radlet.training.losses.language import next_token_cross_entropy
from radlet.training.packing import can_pack, pack, packed_inputs
from radlet.training.rows import rarity_weights
from radlet.training.world import world


class ReportRowsConfig(Config):
    """How reports become training rows."""

    max_target_tokens: int = Field(default=256, ge=2)
    """Longer reports are cut here."""
    row_balance: float = Field(default=0.0, ge=0)
    """Rows are drawn by the rarity of their rarest positive observation to this power; 0 draws each once an epoch."""
    film_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the rows that are shown without films, so that guidance knows what would be written unseen."""


class ReportObjective:
    """Rows are studies, or questions about them: the films shown, the prompt, and the text to be written.

    Args:
        report_model: Its trainable parameters are trained, the others left alone.
        rows: With a target each.
        films: Holds every film of `rows`, or what a frozen encoder sees on it; None for rows without films.
        prompt: The words around films and indication.
        config: How rows are cut and drawn.
        augmentation: Of the films; features of films are as they are.
    """

    def __init__(
        self,
        report_model: ReportModel,
        rows: Sequence[Example],
        films: FilmStore | FilmFeatures | None,
        prompt: PromptConfig,
        config: ReportRowsConfig,
        augmentation: AugmentationConfig,
    ) -> None:
        self._model = report_model.model
        self._architecture, self._size_px = report_model.architecture, report_model.size_px
        self.num_rows = len(rows)
        self._films, self._augmentation, self._config = films, augmentation, config
        self._rows = rows
        self._image_token_id = self.model.config.image_token_id
        self._num_image_tokens = report_model.num_image_tokens
        tokenizer = report_model.tokenizer
        self._pad = int(tokenizer.pad_token_id)
        self._packed = can_pack(report_model)

        def encode(row: Example, num_films: int) -> list[int]:
            text = prompt.render(num_films, row.indication, row.question)
            return report_model.encode_prompt(text, prompt)

        self._prompts = [encode(row, len(row.image_paths)) for row in rows]
        self._blind_prompts = [encode(row, 0) for row in rows] if config.film_dropout else self._prompts
        self._targets = [
            report_model.encode_target(row.target or "", prompt)[: config.max_target_tokens] for row in rows
        ]
        self._frozen = [module for module in self.model.modules() if is_frozen(module)]
        self._sees_company = any(isinstance(m, _BatchNorm) and not is_frozen(m) for m in self.model.modules())
        self._filmed = np.flatnonzero([len(row.image_paths) > 0 for row in rows]) if films is not None else np.empty(0)

    @property
    def model(self) -> PreTrainedModel:
        """The report model."""
        return self._model

    def row_weights(self) -> NDArray[np.float64] | None:
        """Draw rows with rare observations more often, if the recipe says so."""
        names = [name for name in OBSERVATIONS if name != "No Finding"]
        positive = np.array([[row.observations.get(n) == State.POSITIVE for n in names] for row in self._rows])
        return rarity_weights(positive.reshape(len(self._rows), len(names)), self._config.row_balance)

    def row_lengths(self) -> NDArray[np.int64] | None:
        """Return tokens of prompt and report; None where batch normalisation trains, which sees a film's company."""
        if self._sees_company:
            return None
        return np.array([len(p) + len(t) for p, t in zip(self._prompts, self._targets, strict=True)])

    def row_tokens(self, row: int) -> tuple[list[int], list[int]]:
        """Return the tokens of a row's prompt and of what is to be written."""
        return self._prompts[row], self._targets[row]

    def batch(self, rows: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """Return input_ids and labels, packed (1, sum of lengths) with the lengths (B,), and the films.

        A model that cannot be packed is given them right-padded (B, T) with their attention_mask. The films are
        pixel_values (films, 3, S, S), or film_features (films, N, D) where those were kept.

        Raises:
            DataError: A prompt's image tokens do not match its films.
        """
        blind = torch.rand(len(rows), generator=generator) < self._config.film_dropout
        prompts = [(self._blind_prompts if hide else self._prompts)[row] for row, hide in zip(rows, blind, strict=True)]
        sequences = [prompt + self._targets[row] for row, prompt in zip(rows, prompts, strict=True)]
        labels = [[IGNORED] * len(prompt) + self._targets[row] for row, prompt in zip(rows, prompts, strict=True)]
        shown = [() if hide else self._rows[row].image_paths for row, hide in zip(rows, blind, strict=True)]
        if world().size > 1 and len(self._filmed) and not any(shown):
            # The processes sum the gradients of encoder and projector, so none of them may be without: a row is shown
            # of which nothing is to be written, and whose gradient is zero.
            extra = int(self._filmed[0])
            rows = np.append(rows, extra)
            sequences.append(self._prompts[extra])
            labels.append([IGNORED] * len(self._prompts[extra]))
            shown.append(self._rows[extra].image_paths)
        batch = self._laid_out(sequences, labels)
        self._check_image_tokens(sequences, rows, [len(paths) for paths in shown])
        paths = [path for films in shown for path in films]
        if paths and self._films is not None:
            if isinstance(self._films, FilmFeatures):
                batch["film_features"] = self._films.of(paths)
            else:
                batch["pixel_values"] = self._augmentation.apply(self._films.pixel_values(paths), generator)
        return batch

    def units(self, batch: Batch) -> int:
        """Count target tokens."""
        return int((batch["labels"] != IGNORED).sum())

    def losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the cross-entropy summed over the target tokens of the batch."""
        labels = batch["labels"]
        inputs = self._architecture.text_inputs(self.model, batch["input_ids"])
        if "lengths" in batch:
            inputs |= packed_inputs(self.model, batch["lengths"].tolist(), labels.device)
        else:
            inputs["attention_mask"] = batch["attention_mask"]
        if "film_features" in batch:
            inputs |= self._architecture.feature_inputs(self.model, batch["film_features"], self._size_px)
        elif "pixel_values" in batch:
            inputs |= self._architecture.film_inputs(self.model, batch["pixel_values"])
        hidden = self.model.model(input_ids=batch["input_ids"], **inputs, use_cache=False).last_hidden_state
        return {"language": next_token_cross_entropy(hidden, labels, self.model.get_output_embeddings())}

    def train_mode(self) -> None:
        """Train what has trainable weights; a frozen part keeps its running statistics and drops nothing."""
        self.model.train()
        for module in self._frozen:
            module.eval()

    def _laid_out(self, sequences: Sequence[list[int]], labels: Sequence[list[int]]) -> Batch:
        if self._packed:
            lengths = torch.tensor([len(sequence) for sequence in sequences])
            return {"input_ids": pack(sequences), "labels": pack(labels), "lengths": lengths}
        input_ids, attention_mask = pad_right(sequences, self._pad)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": pad_right(labels, IGNORED)[0]}

    def _check_image_tokens(
        self, sequences: Sequence[list[int]], rows: NDArray[np.int64], num_films: Sequence[int]
    ) -> None:
        for row, sequence, num in zip(rows, sequences, num_films, strict=True):
            num_tokens = sequence.count(self._image_token_id)
            if num_tokens != num * self._num_image_tokens:
                raise DataError(
                    f"Example {self._rows[row].example_id}: {num_tokens} image tokens for {num} films of "
                    f"{self._num_image_tokens}. The report must not contain the image token."
                )
