"""Which findings exist, how often, where, how they hide each other, and how they change from one exam to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from radlet.core.records import Side, Zone

Severity = Literal["mild", "moderate", "severe"]
SEVERITIES: tuple[Severity, ...] = ("mild", "moderate", "severe")


@dataclass(frozen=True)
class Kind:
    """What may be drawn for one kind of finding.

    Attributes:
        observation: The one CheXpert observation it counts as.
        weight: Relative frequency among findings.
        sides: Allowed sides with their weights; empty for midline findings.
        zones: Allowed zones; empty when the zone means nothing.
        graded: Whether it has a severity.
        size_mm: Range of sizes, for findings that are measured.
        persistence: Chance to be there still at the next exam.
    """

    observation: str
    weight: float
    sides: Mapping[Side, float]
    zones: tuple[Zone, ...] = ()
    graded: bool = False
    size_mm: tuple[float, float] | None = None
    persistence: float = 0.6


_EITHER: Mapping[Side, float] = {"left": 1.0, "right": 1.0}
_ANY: Mapping[Side, float] = {"left": 1.0, "right": 1.0, "bilateral": 0.5}
_ALL_ZONES: tuple[Zone, ...] = ("upper", "mid", "lower")

KINDS: Mapping[str, Kind] = {
    "effusion": Kind("Pleural Effusion", 1.7, _ANY, ("lower",), graded=True),
    "pneumothorax": Kind("Pneumothorax", 1.2, _EITHER, ("upper",), graded=True, persistence=0.45),
    "consolidation": Kind("Consolidation", 1.3, _EITHER, _ALL_ZONES, persistence=0.5),
    "hazy_opacity": Kind("Lung Opacity", 1.1, _EITHER, _ALL_ZONES, persistence=0.5),
    "edema": Kind("Edema", 1.2, {"bilateral": 1.0}, graded=True, persistence=0.5),
    "atelectasis": Kind("Atelectasis", 1.3, _ANY, ("mid", "lower"), persistence=0.55),
    "cardiomegaly": Kind("Cardiomegaly", 1.5, {}, graded=True, persistence=0.95),
    "wide_mediastinum": Kind("Enlarged Cardiomediastinum", 1.0, {}, persistence=0.9),
    "nodule": Kind("Lung Lesion", 0.7, _EITHER, _ALL_ZONES, size_mm=(18, 30), persistence=0.97),
    "mass": Kind("Lung Lesion", 0.6, _EITHER, _ALL_ZONES, size_mm=(36, 60), persistence=0.97),
    "rib_fracture": Kind("Fracture", 1.0, _EITHER, _ALL_ZONES, persistence=0.9),
    "pleural_thickening": Kind("Pleural Other", 0.9, _EITHER, ("upper", "mid"), persistence=0.97),
    "endotracheal_tube": Kind("Support Devices", 0.6, {}, persistence=0.4),
    "central_line": Kind("Support Devices", 0.8, _EITHER, persistence=0.6),
    "pacemaker": Kind("Support Devices", 0.7, {"left": 0.8, "right": 0.2}, persistence=1.0),
}
DEVICES = frozenset(kind for kind, spec in KINDS.items() if spec.observation == "Support Devices")
LONG_TAIL_EXPONENT = 1.4
MAX_FINDINGS = 4


@dataclass(frozen=True)
class Lesion:
    """One finding of one patient; `seed` fixes its place and shape, so that it is the same lesion at the next exam."""

    kind: str
    side: Side | None
    zone: Zone | None
    severity: Severity | None
    size_mm: float | None
    seed: int

    @property
    def observation(self) -> str:
        """The CheXpert observation it counts as."""
        return KINDS[self.kind].observation


def weights(adjusted: Mapping[str, float], long_tail: bool) -> dict[str, float]:
    """Return the relative frequency of each kind.

    Args:
        adjusted: Weights that replace the built-in ones.
        long_tail: Let frequencies fall with rank by a power law, so that the last kinds are rare.
    """
    plain = {kind: adjusted.get(kind, spec.weight) for kind, spec in KINDS.items()}
    if not long_tail:
        return plain
    ranked = sorted(plain, key=lambda kind: -plain[kind])
    return {kind: plain[kind] and (rank + 1) ** -LONG_TAIL_EXPONENT for rank, kind in enumerate(ranked)}


def draw_lesions(rng: np.random.Generator, frequency: Mapping[str, float], present: Sequence[Lesion]) -> list[Lesion]:
    """Return `present` with one to three new findings that do not hide or double those already there."""
    lesions = list(present)
    kinds, values = list(frequency), np.array(list(frequency.values()), dtype=float)
    if not values.sum():
        return lesions
    for kind in rng.choice(kinds, size=int(rng.choice([1, 2, 3], p=[0.45, 0.35, 0.2])), p=values / values.sum()):
        lesion = _draw(rng, str(kind))
        if len(lesions) < MAX_FINDINGS and all(compatible(lesion, other) for other in lesions):
            lesions.append(lesion)
    return lesions


def evolve(rng: np.random.Generator, lesions: Sequence[Lesion]) -> list[Lesion]:
    """Return what is left of `lesions` at the next exam: some are gone, graded ones may change by a step."""
    later: list[Lesion] = []
    for lesion in lesions:
        if rng.random() < KINDS[lesion.kind].persistence:
            changed = _changed(rng, lesion)
            # A finding that grows may come to hide another; then it stays as it was.
            others = [other for other in lesions if other is not lesion]
            later.append(changed if all(compatible(changed, other) for other in others + later) else lesion)
    return later


def compatible(a: Lesion, b: Lesion) -> bool:
    """Tell whether both findings would be visible and separate on one film."""
    if a.kind == b.kind or {a.kind, b.kind} == {"nodule", "mass"}:
        return False
    if {a.kind, b.kind} in ({"edema", "hazy_opacity"}, {"central_line", "pacemaker"}):
        return False
    if not _share_side(a, b):
        return True
    for first, second in ((a, b), (b, a)):
        if first.kind == "effusion" and first.severity != "mild" and _lies_low(second, first.severity == "severe"):
            return False
        if first.kind == "pneumothorax" and second.kind not in _ELSEWHERE:
            return False
        if (
            first.kind == "pleural_thickening"
            and second.kind in ("consolidation", "mass")
            and first.zone == second.zone
        ):
            return False
    focal = ("consolidation", "hazy_opacity", "nodule", "mass", "atelectasis")
    return not (a.kind in focal and b.kind in focal and a.zone == b.zone)


_ELSEWHERE = frozenset({"effusion", "rib_fracture", "edema"}) | DEVICES


def _lies_low(lesion: Lesion, severe: bool) -> bool:
    covered = ("lower", "mid") if severe else ("lower",)
    return lesion.zone in covered or (severe and lesion.kind == "cardiomegaly")


def _share_side(a: Lesion, b: Lesion) -> bool:
    return a.side is None or b.side is None or "bilateral" in (a.side, b.side) or a.side == b.side


def _draw(rng: np.random.Generator, kind: str) -> Lesion:
    spec = KINDS[kind]
    side: Side | None = None
    if spec.sides:
        chances = np.array(list(spec.sides.values()))
        side = list(spec.sides)[int(rng.choice(len(chances), p=chances / chances.sum()))]
    return Lesion(
        kind=kind,
        side=side,
        zone=spec.zones[int(rng.integers(len(spec.zones)))] if spec.zones else None,
        severity=SEVERITIES[int(rng.integers(3))] if spec.graded else None,
        size_mm=float(round(rng.uniform(*spec.size_mm))) if spec.size_mm else None,
        seed=int(rng.integers(2**31)),
    )


def _changed(rng: np.random.Generator, lesion: Lesion) -> Lesion:
    if lesion.severity is not None and rng.random() < 0.45:
        step = SEVERITIES.index(lesion.severity) + int(rng.choice([-1, 1]))
        return replace(lesion, severity=SEVERITIES[int(np.clip(step, 0, 2))])
    if lesion.size_mm is not None and rng.random() < 0.4:
        spec = KINDS[lesion.kind].size_mm
        grown = float(round(lesion.size_mm * rng.uniform(1.15, 1.35)))
        return replace(lesion, size_mm=min(grown, spec[1]) if spec else grown)
    return lesion
