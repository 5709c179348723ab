"""What a chest report can speak of, and one statement of it: shared by the reader of reports and by the rule judge.

A concept stands below the more general word for it (`parent`); concepts that radiologists use for one another on a
film share a `group`. The weights are those of the rule judge (docs/judge.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from radlet.core.records import Side, State, Zone

Severity = Literal["mild", "moderate", "severe"]
Significance = Literal["minor", "significant", "critical"]
Change = Literal["new", "increased", "decreased", "unchanged", "resolved", "compared"]
Position = Literal["satisfactory", "malpositioned"]


@dataclass(frozen=True)
class Concept:
    """One thing a report can state.

    Attributes:
        observation: The CheXpert observation it counts as, if any.
        significance: How much it matters when nothing is said of its degree.
        parent: The more general concept.
        group: Concepts of one group stand for one another.
        sided: Whether it is on a side.
        zoned: Whether its zone of the lung tells one from another.
        usual: Where it is expected and so matters less: "surgery" (after one) or "age" (above 65 years).
    """

    observation: str | None
    significance: Significance
    parent: str | None = None
    group: str | None = None
    sided: bool = True
    zoned: bool = False
    usual: tuple[Literal["surgery", "age"], ...] = ()


@dataclass(frozen=True)
class Statement:
    """What a text says at one place; `start` and `end` are character offsets.

    Attributes:
        zones: Thirds of the lung it names, each once.
        size_mm: The largest measure given.
        change: How it compares with an earlier exam.
        position: Of a device: whether its tip is where it belongs.
    """

    concept: str
    state: State
    side: Side | None = None
    zones: tuple[Zone, ...] = ()
    severity: Severity | None = None
    size_mm: float | None = None
    change: Change | None = None
    position: Position | None = None
    start: int = 0
    end: int = 0


def _opacity(significance: Significance, parent: str | None = "opacity", group: str | None = None) -> Concept:
    return Concept("Lung Opacity", significance, parent, group, zoned=True)


def _device(parent: str | None = "device", sided: bool = True) -> Concept:
    return Concept("Support Devices", "minor", parent, sided=sided)


def _midline(observation: str | None, significance: Significance, parent: str | None = None) -> Concept:
    return Concept(observation, significance, parent, sided=False)


CONCEPTS: dict[str, Concept] = {
    "opacity": _opacity("significant", parent=None),
    "consolidation": Concept("Consolidation", "significant", "opacity", "airspace", zoned=True),
    "pneumonia": Concept("Pneumonia", "significant", "opacity", "airspace", zoned=True),
    "airspace disease": _opacity("significant", group="airspace"),
    "aspiration": _opacity("significant", group="airspace"),
    "interstitial disease": _opacity("significant"),
    "fibrosis": _opacity("significant", "interstitial disease"),
    "scarring": _opacity("minor"),
    "atelectasis": Concept("Atelectasis", "minor", "opacity", zoned=True),
    "collapse": Concept("Atelectasis", "significant", "atelectasis", zoned=True),
    "contusion": _opacity("significant"),
    "edema": Concept("Edema", "significant", None, "congestion", sided=False),
    "congestion": Concept("Edema", "minor", None, "congestion", sided=False),
    "heart failure": Concept("Edema", "significant", "congestion", "congestion", sided=False),
    "lung lesion": Concept("Lung Lesion", "significant", "opacity", zoned=True),
    "nodule": Concept("Lung Lesion", "significant", "lung lesion", zoned=True),
    "mass": Concept("Lung Lesion", "critical", "lung lesion", zoned=True),
    "malignancy": Concept("Lung Lesion", "critical", "mass", zoned=True),
    "cavity": Concept("Lung Lesion", "critical", "lung lesion", zoned=True),
    "granuloma": Concept(None, "minor", "nodule", zoned=True),
    "lucency": Concept(None, "minor", zoned=True),
    "pneumothorax": Concept("Pneumothorax", "critical", "lucency", usual=("surgery",)),
    "tension pneumothorax": Concept("Pneumothorax", "critical", "pneumothorax"),
    "hydropneumothorax": Concept("Pneumothorax", "critical", "pneumothorax", usual=("surgery",)),
    "pleural effusion": Concept("Pleural Effusion", "significant", usual=("surgery",)),
    "pleural thickening": Concept("Pleural Other", "minor", zoned=True),
    "pleural plaque": Concept("Pleural Other", "minor", "pleural thickening"),
    "cardiomegaly": _midline("Cardiomegaly", "significant"),
    "pericardial effusion": _midline(None, "critical", "cardiomegaly"),
    "mediastinal widening": _midline("Enlarged Cardiomediastinum", "significant"),
    "aneurysm": _midline(None, "critical", "mediastinal widening"),
    "dissection": _midline(None, "critical", "aneurysm"),
    "mediastinal mass": _midline(None, "critical", "mediastinal widening"),
    "mediastinal shift": _midline(None, "critical"),
    "tracheal deviation": _midline(None, "significant", "mediastinal shift"),
    "pneumomediastinum": Concept(None, "critical", sided=False, usual=("surgery",)),
    "subcutaneous air": Concept(None, "significant", usual=("surgery",)),
    "free air": Concept(None, "critical", sided=False, usual=("surgery",)),
    "tortuous aorta": Concept(None, "minor", "mediastinal widening", sided=False, usual=("age",)),
    "atherosclerosis": Concept(None, "minor", sided=False, usual=("age",)),
    "hilar enlargement": Concept(None, "significant"),
    "lymphadenopathy": Concept(None, "significant", "hilar enlargement"),
    "hyperinflation": Concept(None, "minor", group="obstructive disease", sided=False),
    "emphysema": Concept(None, "minor", group="obstructive disease", sided=False),
    "bronchiectasis": Concept(None, "minor", zoned=True),
    "bronchial thickening": Concept(None, "minor", sided=False),
    "low lung volumes": Concept(None, "minor", sided=False),
    "elevated hemidiaphragm": Concept(None, "minor"),
    "hernia": _midline(None, "minor"),
    "fracture": Concept("Fracture", "significant"),
    "rib fracture": Concept("Fracture", "significant", "fracture", zoned=True),
    "compression fracture": Concept("Fracture", "significant", "fracture", sided=False, usual=("age",)),
    "old fracture": Concept("Fracture", "minor", "fracture"),
    "dislocation": Concept(None, "significant"),
    "bone lesion": Concept(None, "critical"),
    "degenerative change": Concept(None, "minor", sided=False, usual=("age",)),
    "scoliosis": _midline(None, "minor"),
    "osteopenia": Concept(None, "minor", sided=False, usual=("age",)),
    "foreign body": Concept(None, "critical"),
    "device": _device(None),
    "endotracheal tube": _device(sided=False),
    "tracheostomy": _device(sided=False),
    "enteric tube": _device(sided=False),
    "central line": _device(),
    "picc": _device("central line"),
    "port": _device("central line"),
    "pacemaker": _device(),
    "chest tube": _device(),
    "sternal wires": _device(sided=False),
    "surgical clips": _device(),
    "valve prosthesis": _device(sided=False),
    "spinal hardware": _device(sided=False),
}
"""Every concept that statements are about, by name."""


def generalisations(concept: str) -> Iterator[str]:
    """Yield the more general concepts of a concept, nearest first."""
    parent = CONCEPTS[concept].parent
    while parent is not None:
        yield parent
        parent = CONCEPTS[parent].parent
