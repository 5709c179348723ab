"""The course of one synthetic patient: build, exams, and what is found at each of them, before any pixel is made.

Everything is drawn from one generator per patient, so that neither sharding nor the number of patients changes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from radlet.core.records import View
from radlet.data.sources.synthetic.anatomy import Anatomy, sample_anatomy
from radlet.data.sources.synthetic.findings import Lesion, draw_lesions, evolve

NEW_FINDINGS_LATER = 0.4
"""How much rarer new findings are at a later exam than at the first."""


@dataclass(frozen=True)
class Population:
    """What patients are drawn from: one for each site."""

    site: str
    abnormal_share: float
    frequency: Mapping[str, float]
    view_shares: Mapping[str, float]
    lateral_share: float
    styles: tuple[str, ...]
    max_studies: int


@dataclass(frozen=True)
class Exam:
    """One planned study.

    Attributes:
        views: Its films, the frontal one first.
        seed: Seed of everything that belongs to this exam alone: pose, exposure, noise, wording.
        days: Days since the patient's first exam.
    """

    views: tuple[View, ...]
    lesions: tuple[Lesion, ...]
    style: str
    inspiration: float
    days: int
    seed: int


@dataclass(frozen=True)
class Patient:
    """One planned patient."""

    number: int
    site: str
    anatomy: Anatomy
    exams: tuple[Exam, ...]

    @property
    def patient_id(self) -> str:
        """Stable id."""
        return f"syn-{self.number:06d}"

    def study_id(self, exam: int) -> str:
        """Stable id of one of the patient's studies."""
        return f"{self.patient_id}-{exam + 1}"


def plan_patient(seed: int, number: int, populations: tuple[Population, ...]) -> Patient:
    """Draw one patient and all exams.

    Args:
        seed: Seed of the data set.
        number: Index of the patient.
        populations: The sites; patients take turns at them.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, number]))
    population = populations[number % len(populations)]
    sex = "F" if rng.random() < 0.5 else "M"
    age = int(np.clip(rng.normal(58, 17), 18, 94))
    anatomy = sample_anatomy(rng, "F" if sex == "F" else "M", age)
    exams: list[Exam] = []
    lesions: list[Lesion] = []
    for index in range(int(rng.integers(1, population.max_studies + 1))):
        lesions = evolve(rng, lesions)
        chance = population.abnormal_share * (NEW_FINDINGS_LATER if index else 1.0)
        if rng.random() < chance:
            lesions = draw_lesions(rng, population.frequency, lesions)
        days = exams[-1].days + int(rng.integers(1, 120)) if exams else 0
        exams.append(_exam(rng, population, tuple(lesions), days))
    return Patient(number, population.site, anatomy, tuple(exams))


def _exam(rng: np.random.Generator, population: Population, lesions: tuple[Lesion, ...], days: int) -> Exam:
    shares = np.array(list(population.view_shares.values()), dtype=float)
    frontal = list(population.view_shares)[int(rng.choice(len(shares), p=shares / shares.sum()))]
    if any(lesion.kind == "endotracheal_tube" for lesion in lesions):
        frontal = "AP"
    views: tuple[View, ...] = ("AP",)
    if frontal == "PA":
        views = ("PA", "LATERAL") if rng.random() < population.lateral_share else ("PA",)
    return Exam(
        views=views,
        lesions=lesions,
        style=population.styles[int(rng.integers(len(population.styles)))],
        inspiration=float(rng.normal(0, 5)),
        days=days,
        seed=int(rng.integers(2**31)),
    )
