"""A checkpoint and films in, drafts out; and where the model looked while it wrote."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.data.images import (
    FilmChange,
    checkpoint_image_settings,
    hf_image_processor_config,
    load_pixel_values,
    resize_film,
    to_pixel_values,
)
from radlet.inference.attention import AttentionMaps, Span, attend
from radlet.inference.engines import ENGINES
from radlet.inference.engines.base import Engine, JudgingEngine, Sampling, check_served
from radlet.inference.exports import ExportedModel, is_export, read_export
from radlet.inference.likelihoods import Continuation
from radlet.models.devices import pick_device
from radlet.models.prompts import Wording
from radlet.models.report_model import ModelCard, ReportModel, checkpoint_folder, load_report_model


@dataclass(frozen=True)
class DraftRequest:
    """What one draft is to be written from.

    Attributes:
        image_paths: The films, in the order the model was trained on; none for a text-only model.
        indication: Why the study was made, if known.
        question: What is asked instead of the checkpoint's own question.
        wording: The checkpoint's own question in other words.
        changes: Made to the films in memory, one change for each of them; none: the films are shown as they are.
    """

    image_paths: tuple[Path, ...]
    indication: str | None = None
    question: str | None = None
    wording: Wording | None = None
    changes: tuple[FilmChange, ...] = ()

    def without_films(self) -> "DraftRequest":
        """Return the same request with nothing to look at."""
        return replace(self, image_paths=(), changes=())


class Drafter:
    """Write drafts with a report model.

    Args:
        model: A report model, which transformers then runs, or an export, which its own engine does.
    """

    def __init__(self, model: ReportModel | ExportedModel) -> None:
        self.card = model.card
        self.image_settings = checkpoint_image_settings(self.card.image, self.card.image_digest)
        self._model = model
        self.engine_name = model.export.engine if isinstance(model, ExportedModel) else "transformers"
        self.engine: Engine = _open_engine(self.engine_name, model)

    @classmethod
    def load(cls, checkpoint: Path) -> Self:
        """Load a checkpoint folder, the run that holds one, or an export; transformers takes the GPU if there is one.

        Raises:
            CheckpointError: The folder is none of them, or this version prepares films differently.
        """
        if is_export(checkpoint):
            return cls(read_export(checkpoint))
        report_model = load_report_model(checkpoint_folder(checkpoint))
        report_model.model.to(pick_device())
        return cls(report_model)

    @cached_property
    def report_model(self) -> ReportModel:
        """The report model itself; that of an export is loaded when it is first asked for.

        Raises:
            CheckpointError: The checkpoint of an export is gone or was changed.
        """
        if not isinstance(self._model, ExportedModel):
            return self._model
        report_model = self._model.load_source()
        report_model.model.to(pick_device())
        return report_model

    @property
    def own_sampling(self) -> Sampling:
        """The checkpoint's own way: greedily, with its guidance and length."""
        return Sampling(guidance=self.card.guidance, max_new_tokens=self.card.max_new_tokens)

    @property
    def max_positions(self) -> int | None:
        """Tokens that prompt and answer may have together; None where the model does not say."""
        return self._model.max_positions

    def text_of(self, answer: Sequence[int]) -> str:
        """Return the text of an answer's token ids."""
        return str(self._model.tokenizer.decode(answer, skip_special_tokens=True)).strip()

    def draft(
        self,
        requests: Sequence[DraftRequest],
        sampling: Sampling | None = None,
        batch_size: int = 16,
        progress: Progress | None = None,
    ) -> list[str]:
        """Return one draft for each request; without `sampling`, greedily, with the checkpoint's guidance and length.

        Raises:
            ConfigError: The engine cannot choose tokens in this way.
            DataError: A film cannot be read.
        """
        sampling = sampling or self.own_sampling
        check_served(self.engine_name, self.engine.features, sampling)
        prompts = [self.prompt_ids(request) for request in requests]
        batches = _by_length(prompts, batch_size)
        drafts = [""] * len(requests)
        for batch in (progress or Progress(quiet=True)).track(batches, "drafts", len(batches)):
            pixel_values = self.pixel_values([requests[index] for index in batch])
            blind = None
            if sampling.guidance != 1 and pixel_values is not None:
                blind = [self.prompt_ids(requests[index].without_films()) for index in batch]
            answers = self.engine.generate([prompts[index] for index in batch], blind, pixel_values, sampling)
            for index, answer in zip(batch, answers, strict=True):
                drafts[index] = self.text_of(answer)
        return drafts

    def batches(self, requests: Sequence[DraftRequest], batch_size: int) -> list[list[int]]:
        """Return which requests are drafted together, by position.

        Prompts of like length share a batch, so little is spent on padding; the answers do not depend on it.
        """
        return _by_length([self.prompt_ids(request) for request in requests], batch_size)

    def log_likelihoods(
        self, requests: Sequence[DraftRequest], texts: Sequence[str], *, ended: bool = False, batch_size: int = 16
    ) -> NDArray[np.float64]:
        """Return how likely the model finds each text as the beginning of its answer to the request beside it.

        Requests that are equal are read once for all their texts. The likelihoods are the model's own word: guidance
        has no part in them. For an engine that gives none they are those of the checkpoint it was exported from.

        Args:
            requests: What is asked.
            texts: One a request.
            ended: The answer must be the text and nothing behind it: its end counts as one more token.
            batch_size: Texts judged at once.

        Returns:
            (n, 2): the sum of the natural log-probabilities of the text's tokens, and how many tokens they are.

        Raises:
            CheckpointError: The checkpoint of an export is needed, and is gone or was changed.
            DataError: A film cannot be read.
            ValueError: There are not as many texts as requests.
        """
        tokens = [self._answer(text, ended) for _, text in zip(requests, texts, strict=True)]
        asked: dict[DraftRequest, list[int]] = {}
        for row, request in enumerate(requests):
            asked.setdefault(request, []).append(row)
        parts = [
            (request, rows[start : start + batch_size])
            for request, rows in asked.items()
            for start in range(0, len(rows), batch_size)
        ]
        found = np.zeros((len(tokens), 2))
        found[:, 1] = [len(ids) for ids in tokens]
        for batch in _filled(parts, batch_size):
            together = [request for request, _ in batch]
            rows = [row for _, own in batch for row in own]
            prompts = [self.prompt_ids(request) for request in together]
            texts_of = [Continuation(prompt, tokens[row]) for prompt, (_, own) in enumerate(batch) for row in own]
            films = self.pixel_values(together)
            found[rows, 0] = self._judge.log_likelihoods(prompts, films, texts_of)
        return found

    def attention(self, request: DraftRequest, text: str, spans: Sequence[Span]) -> list[AttentionMaps]:
        """Return where the model looks in the first film of the request for each span of `text`, its draft.

        Raises:
            CheckpointError: The checkpoint of an export is gone or was changed.
            DataError: The request has no film, or the text no words.
        """
        pixel_values = self.pixel_values([request])
        if pixel_values is None:
            raise DataError("There is no film to look at: attention needs a request with an image.")
        return attend(self.report_model, self.prompt_ids(request), pixel_values, text, spans)

    @cached_property
    def _judge(self) -> JudgingEngine:
        if "log_likelihoods" in self.engine.features:
            return cast("JudgingEngine", self.engine)
        return cast("JudgingEngine", _open_engine("transformers", self.report_model))

    def _answer(self, text: str, ended: bool) -> list[int]:
        ids = self._model.encode_target(text)
        return ids if ended else ids[:-1]

    def prompt_ids(self, request: DraftRequest) -> list[int]:
        """Return the token ids of a request, image tokens expanded."""
        words = self.card.prompt.reworded(request.wording) if request.wording else self.card.prompt
        prompt = words.render(len(request.image_paths), request.indication, request.question)
        return self._model.encode_prompt(prompt, words)

    def pixel_values(self, requests: Sequence[DraftRequest]) -> torch.Tensor | None:
        """Return the films of all requests in order, (films, 3, S, S); None when there are none.

        Raises:
            DataError: A film cannot be read.
        """
        films = [
            load_pixel_values(Path(path), self.image_settings, change)
            for request in requests
            for path, change in zip(
                request.image_paths, request.changes or [None] * len(request.image_paths), strict=True
            )
        ]
        return torch.from_numpy(np.stack(films)) if films else None

    def shown(self, films: Sequence[NDArray[np.uint8]]) -> torch.Tensor | None:
        """Return films that have been read, (H, W) each, as `pixel_values` does."""
        settings = self.image_settings
        values = [to_pixel_values(resize_film(film, settings), settings) for film in films]
        return torch.from_numpy(np.stack(values)) if values else None


def _by_length(prompts: Sequence[list[int]], batch_size: int) -> list[list[int]]:
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _open_engine(name: str, model: ReportModel | ExportedModel) -> Engine:
    kind = ENGINES[name]
    return cast("Engine", kind.load(model) if isinstance(model, ExportedModel) else kind(model))


def _filled(
    parts: Sequence[tuple[DraftRequest, list[int]]], batch_size: int
) -> Iterator[list[tuple[DraftRequest, list[int]]]]:
    """Yield the parts in batches of at most `batch_size` texts."""
    batch: list[tuple[DraftRequest, list[int]]] = []
    for part in parts:
        if batch and sum(len(rows) for _, rows in batch) + len(part[1]) > batch_size:
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def processor_options(card: ModelCard) -> dict[str, Any] | None:
    """Return arguments of transformers' CLIP image processor that repeat a checkpoint's image path, if it can."""
    settings = checkpoint_image_settings(card.image, card.image_digest)
    return None if settings.resize == "pad" else hf_image_processor_config(settings)
