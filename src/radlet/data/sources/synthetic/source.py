"""The `synthetic` source: plans patients, projects their films, writes their reports, and knows the truth of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator

from radlet.core.records import Box, Finding, ImageRecord, Study, View
from radlet.core.registry import nearest
from radlet.data.scanner import read_scanner
from radlet.data.sources.base import RawStudy, Source
from radlet.data.sources.synthetic import lateral_painting, painting
from radlet.data.sources.synthetic.anatomy import posed
from radlet.data.sources.synthetic.canvas import Canvas, Map, canvas
from radlet.data.sources.synthetic.findings import KINDS, Lesion, weights
from radlet.data.sources.synthetic.frontal import Frontal
from radlet.data.sources.synthetic.grammar import Report, Subject, Wording, compose
from radlet.data.sources.synthetic.lateral import Lateral
from radlet.data.sources.synthetic.patients import Exam, Patient, Population, plan_patient
from radlet.data.sources.synthetic.projection import STYLES, expose, finish, placed, placed_mask, sample_pose

StyleName = Literal["film", "digital"]
_INSIDE = 0.02
"""Regions are positive inside; less than this (mm, or a share) is rounding."""
_ORDER: Mapping[str, int] = {kind: index for index, kind in enumerate(painting.PAINTERS)}


class SyntheticSource(Source):
    """Procedural chest radiographs with exact truth."""

    kind: Literal["synthetic"] = "synthetic"
    num_patients: int = Field(default=1000, ge=1)
    """How many patients to make."""
    max_studies_per_patient: int = Field(default=3, ge=1, le=20)
    """Each patient has one to this many studies, equally likely."""
    size_px: int = Field(default=256, ge=64, le=2048)
    """Side of the square films in pixels."""
    ap_share: float = Field(default=0.3, ge=0, le=1)
    """Share of studies whose frontal film is AP; the rest are PA."""
    lateral_share: float = Field(default=0.3, ge=0, le=1)
    """Share of PA studies that have a lateral film as well."""
    abnormal_share: float = Field(default=0.7, ge=0, le=1)
    """Chance that a patient's first study shows any finding; later ones evolve from it."""
    prevalences: dict[str, float] = {}
    """Relative frequency of finding kinds, replacing the built-in ones; 0 leaves a kind out."""
    long_tail: bool = False
    """Let the frequency of the kinds fall by a power law, so that some are rare."""
    site_shift: bool = False
    """Add a second site with the other scanner style, more AP films and other frequencies."""
    styles: tuple[StyleName, ...] = Field(default=("film", "digital"), min_length=1)
    """Scanner styles of the (first) site."""
    noise: float = Field(default=1.0, ge=0, le=10)
    """Quantum noise relative to a usual exposure."""
    headings_share: float = Field(default=0.85, ge=0, le=1)
    """Share of reports with section headings; the rest are one paragraph of findings and impression."""
    comparison_share: float = Field(default=0.5, ge=0, le=1)
    """Share of follow-up reports that compare with the previous study."""
    uncertain_share: float = Field(default=0.02, ge=0, le=1)
    """Share of reports with a hedged sentence, always about something that is absent."""
    identifiers: bool = False
    """Plant invented names, numbers and dates in the reports, to test de-identification."""

    @model_validator(mode="after")
    def _known_kinds(self) -> "SyntheticSource":
        for kind, weight in self.prevalences.items():
            if kind not in KINDS:
                raise ValueError(f"prevalences: no finding kind is called '{kind}'.{nearest(kind, list(KINDS))}")
            if weight < 0:
                raise ValueError(f"prevalences: '{kind}' is {weight}; a frequency is 0 or more")
        return self

    def studies(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[RawStudy]:
        """Yield the studies of the shard's patients; a study is the same whatever the shards."""
        for patient, exam in self._plans(seed, shard, num_shards):
            yield self._study(patient, exam)

    def planted_identifiers(self, seed: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield (study_id, identifiers planted in its report) without making any film."""
        for patient, exam in self._plans(seed):
            yield patient.study_id(exam), self.report(patient, exam).identifiers

    def reports(self, seed: int) -> Iterator[tuple[str, Report]]:
        """Yield (study_id, report with the truth behind every sentence) without making any film."""
        for patient, exam in self._plans(seed):
            yield patient.study_id(exam), self.report(patient, exam)

    def report(self, patient: Patient, index: int) -> Report:
        """Write the report of one planned study."""
        exam = patient.exams[index]
        prior = patient.exams[index - 1] if index else None
        subject = Subject(
            lesions=exam.lesions,
            prior=prior.lesions if prior else None,
            days_since=exam.days - prior.days if prior else 0,
            views=exam.views,
            sex=patient.anatomy.sex,
            age_years=patient.anatomy.age_years,
        )
        wording = Wording(self.headings_share, self.comparison_share, self.uncertain_share, self.identifiers)
        return compose(subject, wording, np.random.default_rng([exam.seed, 0]))

    def _plans(self, seed: int, shard: int = 0, num_shards: int = 1) -> Iterator[tuple[Patient, int]]:
        populations = self._populations()
        for number in range(shard, self.num_patients, num_shards):
            patient = plan_patient(seed, number, populations)
            for index in range(len(patient.exams)):
                yield patient, index

    def _populations(self) -> tuple[Population, ...]:
        frequency = weights(self.prevalences, self.long_tail)
        first = Population(
            site="A",
            abnormal_share=self.abnormal_share,
            frequency=frequency,
            view_shares={"PA": 1 - self.ap_share, "AP": self.ap_share},
            lateral_share=self.lateral_share,
            styles=self.styles,
            max_studies=self.max_studies_per_patient,
        )
        if not self.site_shift:
            return (first,)
        others = tuple(style for style in STYLES if style not in self.styles) or ("digital",)
        # The second site sees the first one's rare findings often, and its patients more often in bed.
        shifted = dict(
            zip(sorted(frequency, key=frequency.__getitem__), sorted(frequency.values(), reverse=True), strict=True)
        )
        ap = min(2 * self.ap_share, 1.0)
        second = Population(
            "B", first.abnormal_share, shifted, {"PA": 1 - ap, "AP": ap}, first.lateral_share, others, first.max_studies
        )
        return (first, second)

    def _study(self, patient: Patient, index: int) -> RawStudy:
        exam = patient.exams[index]
        study_id = patient.study_id(index)
        grid = canvas(self.size_px)
        pixels: dict[str, NDArray[np.uint8]] = {}
        masks: dict[tuple[int, str], NDArray[np.uint8]] = {}
        for number, view in enumerate(exam.views):
            image_id = f"{study_id}-{view.lower()}"
            shot = _Shot(view, exam, number, self.noise)
            pixels[image_id], regions = shot.film(patient, grid)
            masks |= {(finding, image_id): mask for finding, mask in regions.items()}
        truth = tuple(_finding(lesion, number, masks) for number, lesion in enumerate(exam.lesions))
        study = Study(
            study_id=study_id,
            patient_id=patient.patient_id,
            images=tuple(
                ImageRecord(image_id=image_id, path="", view=view, height_px=self.size_px, width_px=self.size_px)
                for image_id, view in zip(pixels, exam.views, strict=True)
            ),
            report=self.report(patient, index).text,
            truth=truth,
            sex=patient.anatomy.sex,
            age_years=patient.anatomy.age_years,
            site=patient.site,
            scanner=read_scanner("radlet", f"synthetic {exam.style}"),
            prior_study_id=patient.study_id(index - 1) if index else None,
        )
        return RawStudy(study, pixels, masks)


@dataclass(frozen=True)
class _Shot:
    """One film about to be taken."""

    view: View
    exam: Exam
    number: int
    noise: float

    def film(self, patient: Patient, grid: Canvas) -> tuple[NDArray[np.uint8], dict[int, NDArray[np.uint8]]]:
        """Return the film and the masks of the findings it shows, by index of the finding."""
        rng = np.random.default_rng([self.exam.seed, 1 + self.number])
        body = painting.reshaped(posed(patient.anatomy, self.view, self.exam.inspiration), self.exam.lesions)
        scene = Lateral(grid, body, rng) if self.view == "LATERAL" else Frontal(grid, body, rng)
        # Fillings of the lung come before what lies over it, whatever the order of the findings.
        painted = sorted(enumerate(self.exam.lesions), key=lambda item: _ORDER[item[1].kind])
        regions = {index: _painted(scene, lesion) for index, lesion in painted}
        pose = sample_pose(rng, self.view)
        style = STYLES[self.exam.style]
        attenuation = placed(scene.attenuation(), grid, pose)
        film = finish(expose(attenuation, grid, style, rng, self.noise), self.view, style, rng)
        masks = {
            index: placed_mask(region > _INSIDE, grid, pose) for index, region in regions.items() if region is not None
        }
        return film, {index: mask for index, mask in masks.items() if mask.any()}


def _painted(scene: Frontal | Lateral, lesion: Lesion) -> Map | None:
    if isinstance(scene, Lateral):
        return lateral_painting.paint(scene, lesion)
    return painting.paint(scene, lesion)


def _finding(lesion: Lesion, number: int, masks: Mapping[tuple[int, str], NDArray[np.uint8]]) -> Finding:
    return Finding(
        kind=lesion.kind,
        observation=lesion.observation,
        side=lesion.side,
        zone=lesion.zone,
        severity=lesion.severity,
        size_mm=lesion.size_mm,
        boxes={image_id: box_of(mask) for (finding, image_id), mask in masks.items() if finding == number},
    )


def box_of(mask: NDArray[np.uint8]) -> Box:
    """Return the tight box around a non-empty mask (H, W)."""
    x_min, y_min, x_max, y_max = Image.fromarray(mask).getbbox() or (0, 0, 0, 0)
    height, width = mask.shape
    return Box(x_min=x_min / width, y_min=y_min / height, x_max=x_max / width, y_max=y_max / height)
