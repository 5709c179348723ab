"""The contract of a task: how examples become requests, what answer is expected, and which metrics judge it.

A task carries a version, raised whenever its scores would change for the same drafts; it stands in the scorecard.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from radlet.core.records import Example
from radlet.evaluation.baselines import constant_report
from radlet.evaluation.pictures import typical_rows, worst_rows
from radlet.evaluation.scoring import MODEL, Answers, Measure, measures
from radlet.metrics.resampling import PatientResampler

if TYPE_CHECKING:
    from pathlib import Path

    from radlet.inference.drafter import Drafter, DraftRequest
    from radlet.models.prompts import Wording

Choose = Literal["likelihood", "contrast", "generated"]
"""How a model takes one of several options: the likeliest; the one that the films make likelier than no film does; or
the one that it writes."""


class ReportWriter(Protocol):
    """What is needed of a drafter."""

    def draft(self, requests: "Sequence[DraftRequest]", *, batch_size: int) -> list[str]:
        """Return one draft for each request."""


class FilmEmbedder(Protocol):
    """What is needed of an encoder."""

    def embed_images(self, paths: "Sequence[Path]") -> NDArray[np.float32]:
        """Return unit rows (n, d), one a film."""


@dataclass(frozen=True)
class Material:
    """What a task makes its rows from.

    Attributes:
        judged: The accepted examples of the judged split, with the films that the model is shown.
        training: The accepted examples of the train split.
        trained_section: What the model was trained to write.
        encoder: Embeds films; None where none was given.
        seed: Of whatever is drawn.
    """

    judged: Sequence[Example]
    training: Sequence[Example]
    trained_section: str
    encoder: FilmEmbedder | None
    seed: int


@dataclass(frozen=True)
class Rows:
    """What is asked, row by row.

    Attributes:
        judged: One row an answer.
        left_out: Reason -> examples of the material of which no row was made.
    """

    judged: Sequence[Example]
    left_out: dict[str, int] = field(default_factory=dict)


class Task(ABC):
    """The contract of the `tasks` registry; ``tests/contract/test_tasks_contract.py`` checks every entry.

    Attributes:
        version: Raised whenever scores would change for the same drafts.
        metrics: Names from the metrics registry.
        looking: Names of the measures that the verdict on looking is read off.
        paraphrases: The question of the task in other words, for the probe of that name; none: it is not asked.
        reads: What a draft is to the probes and the tables: a report with observations, or an answer.
    """

    version: ClassVar[int]
    metrics: ClassVar[tuple[str, ...]] = ()
    looking: ClassVar[tuple[str, ...]]
    paraphrases: ClassVar[tuple["Wording", ...]] = ()
    reads: ClassVar[Literal["reports", "answers"]] = "answers"

    @abstractmethod
    def accepts(self, example: Example) -> bool:
        """Tell whether an example can be judged."""

    @abstractmethod
    def reference(self, example: Example) -> str:
        """Return the expected answer of a row."""

    @abstractmethod
    def request(self, example: Example, image_paths: Sequence[str]) -> "DraftRequest":
        """Return what the model is given, with these films (another patient's, or none, for a baseline)."""

    def rows(self, material: Material) -> Rows:
        """Return the rows to ask; an example each, unless the task asks otherwise.

        Raises:
            DataError: The material does not do for the task.
        """
        return Rows(list(material.judged))

    def item(self, example: Example) -> str:
        """Return what a row is part of: rows of one item are shown the same other film by `shuffled_image`."""
        return example.example_id

    def writer(self, drafter: "Drafter", choose: Choose) -> ReportWriter:  # noqa: ARG002
        """Return what answers the requests; `choose` tells how, where there are options."""
        return drafter

    def constants(self, judged: Sequence[Example], training: Sequence[Example], seed: int) -> list[str]:
        """Return the best answer for each row that looks at no film, learnt from the train split."""
        return [constant_report(training, seed)] * len(judged)

    def asked_vectors(self, examples: Sequence[Example]) -> NDArray[np.float32] | None:  # noqa: ARG002
        """Return unit rows (n, d) of what is asked, where `nearest_neighbour` goes by that too."""
        return None

    def copied(self, example: Example, neighbour: Example) -> str:  # noqa: ARG002
        """Return the answer to a row that a training example gives."""
        return self.reference(neighbour)

    def measures(self, judged: Sequence[Example], answers: Answers) -> list[Measure]:  # noqa: ARG002
        """Return what the answers are judged by, the leading one first."""
        scorers = answers.readings.scorers
        return measures(answers, [*self.metrics, *(scorers.names if scorers else ())])

    def results(
        self,
        judged: Sequence[Example],  # noqa: ARG002
        answers: Answers,  # noqa: ARG002
        resampler: PatientResampler,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Return what only this task tells: fields of the scorecard."""
        return {}

    def typical(self, judged: Sequence[Example], answers: Answers, count: int, seed: int) -> list[int]:  # noqa: ARG002
        """Return rows that the page shows as they come."""
        return typical_rows(answers.references, count, seed)

    def worst(self, judged: Sequence[Example], answers: Answers, count: int) -> list[int]:  # noqa: ARG002
        """Return rows that the page shows as failures."""
        return worst_rows(answers.references, answers.systems[MODEL], count)
