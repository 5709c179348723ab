"""Task `confusing_pairs`: two films that look alike to an encoder but differ in one observation (MediConfusion).

The same question is asked about both. A model that does not see the difference answers both alike, and one of the
answers is then wrong (Sepehri et al. 2024).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from radlet.core.errors import DataError
from radlet.core.records import OBSERVATIONS, Example, State
from radlet.evaluation.pairs import FilmPair, alike_pairs
from radlet.evaluation.scorecard import ChoiceResults
from radlet.evaluation.scoring import MODEL, Answers, Measure
from radlet.evaluation.tasks.base import Choose, Material, Rows, Task
from radlet.evaluation.tasks.choices import (
    Choice,
    ChoiceRequest,
    Chooser,
    as_request,
    asked_items,
    failed_items,
    item_of,
)
from radlet.metrics.choices import ALL_RIGHT, EACH_RIGHT, SAME_FOR_BOTH
from radlet.metrics.resampling import PatientResampler

if TYPE_CHECKING:
    from radlet.inference.drafter import Drafter

WORDS: Mapping[str, str] = {
    "Enlarged Cardiomediastinum": "widening of the mediastinum",
    "Cardiomegaly": "enlargement of the heart",
    "Lung Opacity": "lung opacity",
    "Lung Lesion": "lung nodule or mass",
    "Edema": "pulmonary edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "pleural effusion",
    "Pleural Other": "pleural thickening or scarring",
    "Fracture": "fracture",
    "Support Devices": "support device",
}
"""Observation -> how it is asked for; "No Finding" is no observation of its own."""
_COUNTED = frozenset({"Lung Lesion", "Pneumothorax", "Pleural Effusion", "Fracture", "Support Devices"})
"""Those that take an article."""


class ConfusingPairs(Task):
    """Ask the same of two films that look alike and differ in one observation; right only when both answers are.

    A model of answers is asked "Is there …?" and chooses yes or no; a model of reports chooses how its report begins:
    "There is …" or "There is no …".
    """

    version = 2
    looking = ("pairs_individual_accuracy",)

    def accepts(self, example: Example) -> bool:
        """Accept examples with a film of which the observations are known."""
        return bool(example.image_paths and example.question is None and known_observations(example) is not None)

    def reference(self, example: Example) -> str:
        """Return the option that is true."""
        return example.target or ""

    def request(self, example: Example, image_paths: Sequence[str]) -> ChoiceRequest:
        """Ask for the observation and tell nothing else, so that the films of a pair alone differ."""
        return as_request(_row(example), example.question, image_paths)

    def rows(self, material: Material) -> Rows:
        """Return two rows for each pair; every patient is in one pair at most.

        Raises:
            DataError: No encoder was given, or there are no two such pairs.
        """
        if material.encoder is None:
            raise DataError(
                "Confusing pairs look alike to an encoder: give the run directory of pretrain as `encoder`."
            )
        films = [example.image_paths[0] for example in material.judged]
        known = np.array([_states(example) for example in material.judged]).reshape(-1, len(WORDS))
        patients = [example.patient_id for example in material.judged]
        pairs = alike_pairs(material.encoder, films, known, patients)
        if len(pairs) < 2:
            raise DataError(
                f"Pairs of films of different patients that differ in one observation and no other: {len(pairs)}. At "
                "least 2 are needed: judge more studies."
            )
        asks = material.trained_section == "answer"
        rows = [row for pair in pairs for row in _pair(material.judged, pair, asks)]
        unpaired = len(material.judged) - len(rows)
        return Rows(rows, {"in no pair": unpaired} if unpaired else {})

    def item(self, example: Example) -> str:
        """Return the pair."""
        return item_of(example)

    def writer(self, drafter: "Drafter", choose: Choose) -> Chooser:
        """Return what chooses among the options."""
        return Chooser(drafter, choose)

    def constants(self, judged: Sequence[Example], training: Sequence[Example], seed: int) -> list[str]:  # noqa: ARG002
        """Return what is true of most training films."""
        present = Counter(name for example in training for name in known_observations(example) or ())
        return [row.options[0 if 2 * present[str(row.observation)] > len(training) else 1] for row in map(_row, judged)]

    def copied(self, example: Example, neighbour: Example) -> str:
        """Return what is true of the training film."""
        row = _row(example)
        return row.options[0 if row.observation in (known_observations(neighbour) or ()) else 1]

    def measures(self, judged: Sequence[Example], answers: Answers) -> list[Measure]:
        """Return set accuracy, individual accuracy and confusion."""
        asked = asked_items(judged, answers)
        return [
            Measure("pairs_set_accuracy", ALL_RIGHT, asked),
            Measure("pairs_individual_accuracy", EACH_RIGHT, asked),
            Measure("pairs_confusion", SAME_FOR_BOTH, asked),
        ]

    def results(
        self,
        judged: Sequence[Example],
        answers: Answers,
        resampler: PatientResampler,  # noqa: ARG002
    ) -> Mapping[str, Any]:
        """Return what guessing gives, and what is asked for how often."""
        rows = [_row(example) for example in judged]
        chance = {"pairs_set_accuracy": 0.25, "pairs_individual_accuracy": 0.5, "pairs_confusion": 0.5}
        first = {row.item: row.observation for row in rows}
        drafts = answers.systems[MODEL]
        yes = sum(text == row.options[0] for row, text in zip(rows, drafts, strict=True)) / len(rows)
        return {
            "choices": ChoiceResults(
                num_items=len(first),
                chance=chance,
                places={"2": {"yes": yes, "no": 1 - yes}},
                likeness=float(np.mean([row.likeness for row in rows if row.likeness is not None])),
                observations=dict(Counter(str(name) for name in first.values()).most_common()),
            )
        }

    def typical(self, judged: Sequence[Example], answers: Answers, count: int, seed: int) -> list[int]:  # noqa: ARG002
        """Return both films of the pairs that look most alike."""
        return list(range(min(count // 2 * 2, len(judged))))

    def worst(self, judged: Sequence[Example], answers: Answers, count: int) -> list[int]:
        """Return both films of pairs with a wrong answer."""
        shown = set(self.typical(judged, answers, count, 0))
        failed = failed_items(judged, answers, answers.systems[MODEL])
        return [row for rows in failed if not shown & set(rows) for row in rows][: count // 2 * 2]


def known_observations(example: Example) -> frozenset[str] | None:
    """Return what is present: by the truth, else by the text, else by the labels; None where that is not known."""
    if example.truth is not None:
        found = {finding.observation for finding in example.truth}
    elif example.observations:
        if any(example.observations.get(name) is State.UNCERTAIN for name in WORDS):
            return None  # neither option would be true
        found = {name for name, state in example.observations.items() if state is State.POSITIVE}
    elif set(WORDS) <= set(example.labels):
        found = {name for name, value in example.labels.items() if value}
    else:
        return None
    return frozenset(found & set(WORDS))


def _states(example: Example) -> list[bool]:
    present = known_observations(example) or frozenset()
    return [name in present for name in OBSERVATIONS if name in WORDS]


def _pair(judged: Sequence[Example], pair: FilmPair, asks: bool) -> list[Choice]:
    observation = [name for name in OBSERVATIONS if name in WORDS][pair.difference]
    words = WORDS[observation]
    article = "a " if observation in _COUNTED else ""
    options = ("yes", "no") if asks else (f"There is {article}{words}.", f"There is no {words}.")
    item = f"{judged[pair.present].example_id}+{judged[pair.absent].example_id}"
    shared = {
        "question": f"Is there {article}{words}?" if asks else None,
        "options": options,
        "item": item,
        "observation": observation,
        "likeness": pair.likeness,
        "indication": None,  # the films alone differ
        # Both rows are the first film's patient's, by whom pairs are drawn anew; the other patient is in no other pair.
        "patient_id": judged[pair.present].patient_id,
    }
    return [
        Choice(
            **(judged[row].model_dump() | shared | {"target": options[number], "example_id": f"{item}.{number + 1}"})
        )
        for number, row in enumerate((pair.present, pair.absent))
    ]


def _row(example: Example) -> Choice:
    if not isinstance(example, Choice):
        raise TypeError("rows of pairs come from their task's rows()")
    return example
