"""The model and its baselines as functions that draft some rows of a split; between the checkpoints and the runner."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example
from radlet.evaluation.baselines import nearest_rows, other_patients
from radlet.evaluation.runner import Draft
from radlet.evaluation.scoring import MODEL
from radlet.evaluation.tasks.base import FilmEmbedder, ReportWriter, Task


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
        """Return name -> function that drafts rows.

        `no_image` needs `blind`, `nearest_neighbour` an `encoder`, and what is learnt from training rows needs some: a
        set from elsewhere may be there to be judged only.
        """
        systems = {MODEL: self.shown(model)}
        if self._training:
            systems["constant"] = self.constant()
        if blind is not None:
            systems["no_image"] = self.without_films(blind)
        systems["shuffled_image"] = self.shuffled(model)
        if encoder is not None and self._training:
            systems["nearest_neighbour"] = self.nearest_neighbour(encoder)
        return systems

    def shown(self, model: ReportWriter) -> Draft:
        """Show the model each row's own films."""
        return lambda rows: self._ask(model, rows, [self._judged[row].image_paths for row in rows])

    def constant(self) -> Draft:
        """Answer every row with the task's best answer that looks at no film."""
        texts = self._task.constants(self._judged, self._training, self._seed)
        return lambda rows: [texts[row] for row in rows]

    def without_films(self, model: ReportWriter) -> Draft:
        """Ask a model that was tuned without films."""
        return lambda rows: self._ask(model, rows, [()] * len(rows))

    def shuffled(self, model: ReportWriter) -> Draft:
        """Show the model another patient's films, with the row's own indication."""
        items = [self._task.item(example) for example in self._judged]
        first = {item: row for row, item in reversed(list(enumerate(items)))}
        partner = other_patients([example.patient_id for example in self._judged], self._seed)
        return lambda rows: self._ask(
            model, rows, [self._judged[partner[first[items[row]]]].image_paths for row in rows]
        )

    def nearest_neighbour(self, encoder: FilmEmbedder) -> Draft:
        """Copy the answer of the training row nearest in its first film, and in what is asked where that varies."""
        known: list[NDArray[np.float32]] = []

        def draft(rows: Sequence[int]) -> list[str]:
            if not known:  # a resumed evaluation that has all its drafts embeds nothing
                known.append(self._vectors(encoder, self._training))
            asked = [self._judged[row] for row in rows]
            nearest = nearest_rows(known[0], self._vectors(encoder, asked))
            return [self._task.copied(row, self._training[near]) for row, near in zip(asked, nearest, strict=True)]

        return draft

    def _vectors(self, encoder: FilmEmbedder, examples: Sequence[Example]) -> NDArray[np.float32]:
        films = encoder.embed_images(first_films(examples))
        asked = self._task.asked_vectors(examples)
        return films if asked is None else np.concatenate([films, asked], axis=1)

    def _ask(self, model: ReportWriter, rows: Sequence[int], films: Sequence[Sequence[str]]) -> list[str]:
        requests = [self._task.request(self._judged[row], paths) for row, paths in zip(rows, films, strict=True)]
        return model.draft(requests, batch_size=self._batch_size)


def first_films(examples: Sequence[Example]) -> list[Path]:
    """Return the first film of each row, which is frontal where there is one."""
    return [Path(example.image_paths[0]) for example in examples]
