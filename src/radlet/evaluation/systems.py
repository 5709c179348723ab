"""The model and its baselines as functions that draft some rows of a split; between the checkpoints and the runner."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example
from radlet.evaluation.baselines import constant_report, nearest_rows, other_patients
from radlet.evaluation.runner import Draft
from radlet.evaluation.scoring import MODEL
from radlet.evaluation.tasks import Task

if TYPE_CHECKING:
    from radlet.inference.drafter import DraftRequest


class ReportWriter(Protocol):
    """What is needed of a drafter."""

    def draft(self, requests: "Sequence[DraftRequest]", *, batch_size: int) -> list[str]:
        """Return one draft for each request."""


class FilmEmbedder(Protocol):
    """What is needed of an encoder for `nearest_neighbour`."""

    def embed_images(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """Return unit rows (n, d), one a film."""


class Systems:
    """The model and every baseline that can be made.

    Args:
        task: What is asked.
        judged: The rows to draft.
        training: The rows that baselines may copy from.
        seed: Of the constant's search and of the shuffled films.
        batch_size: Drafts written at once.
    """

    def __init__(
        self, task: Task, judged: Sequence[Example], training: Sequence[Example], seed: int, batch_size: int
    ) -> None:
        self._task, self._judged, self._training = task, judged, training
        self._seed, self._batch_size = seed, batch_size

    def table(
        self, model: ReportWriter, blind: ReportWriter | None = None, encoder: FilmEmbedder | None = None
    ) -> Mapping[str, Draft]:
        """Return name -> function that drafts rows; `no_image` needs `blind`, `nearest_neighbour` needs `encoder`."""
        systems = {MODEL: self.shown(model), "constant": self.constant()}
        if blind is not None:
            systems["no_image"] = self.without_films(blind)
        systems["shuffled_image"] = self.shuffled(model)
        if encoder is not None:
            systems["nearest_neighbour"] = self.nearest_neighbour(encoder)
        return systems

    def shown(self, model: ReportWriter) -> Draft:
        """Show the model each row's own films."""
        return lambda rows: self._ask(model, rows, [self._judged[row].image_paths for row in rows])

    def constant(self) -> Draft:
        """Answer every row with the training report that scores best as everyone's answer."""
        text = constant_report(self._training, self._seed)
        return lambda rows: [text] * len(rows)

    def without_films(self, model: ReportWriter) -> Draft:
        """Ask a model that was tuned without films."""
        return lambda rows: self._ask(model, rows, [()] * len(rows))

    def shuffled(self, model: ReportWriter) -> Draft:
        """Show the model another patient's films, with the row's own indication."""
        partner = other_patients([example.patient_id for example in self._judged], self._seed)
        return lambda rows: self._ask(model, rows, [self._judged[partner[row]].image_paths for row in rows])

    def nearest_neighbour(self, encoder: FilmEmbedder) -> Draft:
        """Copy the report of the training film nearest to the row's first film."""
        known: list[NDArray[np.float32]] = []

        def draft(rows: Sequence[int]) -> list[str]:
            if not known:  # a resumed evaluation that has all its drafts embeds nothing
                known.append(encoder.embed_images(first_films(self._training)))
            queries = encoder.embed_images(first_films([self._judged[row] for row in rows]))
            return [self._task.reference(self._training[row]) for row in nearest_rows(known[0], queries)]

        return draft

    def _ask(self, model: ReportWriter, rows: Sequence[int], films: Sequence[Sequence[str]]) -> list[str]:
        requests = [self._task.request(self._judged[row], paths) for row, paths in zip(rows, films, strict=True)]
        return model.draft(requests, batch_size=self._batch_size)


def first_films(examples: Sequence[Example]) -> list[Path]:
    """Return the first film of each row, which is frontal where there is one."""
    return [Path(example.image_paths[0]) for example in examples]
