"""What PadChest's labels and localisations tell of findings: the observation a label counts as, its side and zone."""

from collections.abc import Iterable

from radlet.core.records import Finding, Side, Zone
from radlet.data.sources.cells import read_word_lists

OBSERVATION_OF: dict[str, str] = {
    "mediastinal enlargement": "Enlarged Cardiomediastinum",
    "superior mediastinal enlargement": "Enlarged Cardiomediastinum",
    "cardiomegaly": "Cardiomegaly",
    "infiltrates": "Lung Opacity",
    "alveolar pattern": "Lung Opacity",
    "interstitial pattern": "Lung Opacity",
    "reticular interstitial pattern": "Lung Opacity",
    "reticulonodular interstitial pattern": "Lung Opacity",
    "ground glass pattern": "Lung Opacity",
    "miliary opacities": "Lung Opacity",
    "increased density": "Lung Opacity",
    "nodule": "Lung Lesion",
    "multiple nodules": "Lung Lesion",
    "mass": "Lung Lesion",
    "pulmonary mass": "Lung Lesion",
    "cavitation": "Lung Lesion",
    "lung metastasis": "Lung Lesion",
    "pulmonary edema": "Edema",
    "consolidation": "Consolidation",
    "pneumonia": "Pneumonia",
    "atypical pneumonia": "Pneumonia",
    "atelectasis": "Atelectasis",
    "laminar atelectasis": "Atelectasis",
    "lobar atelectasis": "Atelectasis",
    "round atelectasis": "Atelectasis",
    "segmental atelectasis": "Atelectasis",
    "total atelectasis": "Atelectasis",
    "pneumothorax": "Pneumothorax",
    "hydropneumothorax": "Pneumothorax",
    "pleural effusion": "Pleural Effusion",
    "loculated pleural effusion": "Pleural Effusion",
    "loculated fissural effusion": "Pleural Effusion",
    "pleural thickening": "Pleural Other",
    "apical pleural thickening": "Pleural Other",
    "calcified pleural thickening": "Pleural Other",
    "pleural plaques": "Pleural Other",
    "calcified pleural plaques": "Pleural Other",
    "pleural mass": "Pleural Other",
    "fracture": "Fracture",
    "rib fracture": "Fracture",
    "clavicle fracture": "Fracture",
    "humeral fracture": "Fracture",
    "vertebral fracture": "Fracture",
    "pacemaker": "Support Devices",
    "single chamber device": "Support Devices",
    "dual chamber device": "Support Devices",
    "dai": "Support Devices",
    "electrical device": "Support Devices",
    "catheter": "Support Devices",
    "central venous catheter": "Support Devices",
    "central venous catheter via jugular vein": "Support Devices",
    "central venous catheter via subclavian vein": "Support Devices",
    "central venous catheter via umbilical vein": "Support Devices",
    "reservoir central venous catheter": "Support Devices",
    "chest drain tube": "Support Devices",
    "endotracheal tube": "Support Devices",
    "tracheostomy tube": "Support Devices",
    "nsg tube": "Support Devices",
    "ventriculoperitoneal drain tube": "Support Devices",
    "artificial heart valve": "Support Devices",
    "artificial mitral heart valve": "Support Devices",
    "artificial aortic heart valve": "Support Devices",
}
"""The labels that count as an observation; the others are in `Study.labels` alone."""
_NORMAL = "normal"
_PLACE = "loc "
_LEFT, _RIGHT = ("left", "lingula"), ("right", "middle lobe", "minor fissure")
"""A middle lobe and a minor fissure there is on the right alone."""
_ZONES: dict[Zone, tuple[str, ...]] = {
    "upper": ("upper", "apical"),
    "mid": ("middle lobe", "middle lung field"),
    "lower": ("lower", "basal", "costophrenic", "supradiaphragm"),
}


def read_findings(present: Iterable[str], places_cell: str) -> tuple[Finding, ...] | None:
    """Return the findings that the labels of a study tell, with side and zone where the localisations do.

    None where no label counts as an observation and the study is not called normal: an empty truth would say so.

    Args:
        present: The labels of the study, in small letters.
        places_cell: Lists of labels and of what begins with ``loc``, one a sentence of the report.
    """
    names = sorted(present)
    places = read_places(places_cell)
    found = [
        Finding(
            kind=name,
            observation=OBSERVATION_OF[name],
            side=read_side(places.get(name, ())),
            zone=read_zone(places.get(name, ())),
        )
        for name in names
        if name in OBSERVATION_OF
    ]
    return tuple(found) if found or names == [_NORMAL] else None


def read_places(cell: str) -> dict[str, tuple[str, ...]]:
    """Return ``label -> its localisations``, without the ``loc`` before them.

    They stand behind the label they belong to. Where several labels stand before them nobody can tell whose they are,
    and they are left.
    """
    found: dict[str, tuple[str, ...]] = {}
    for sentence in read_word_lists(cell):
        labels: list[str] = []
        placed = False
        for word in (word.lower() for word in sentence):
            if not word.startswith(_PLACE):
                labels = [word] if placed else [*labels, word]
                placed = False
                continue
            placed = True
            if len(labels) == 1:
                found[labels[0]] = (*found.get(labels[0], ()), word.removeprefix(_PLACE))
    return found


def read_side(places: Iterable[str]) -> Side | None:
    """Return the side that localisations name; left and right together are both."""
    told = tuple(places)
    left, right = (any(word in place for place in told for word in words) for words in (_LEFT, _RIGHT))
    if any("bilateral" in place for place in told) or (left and right):
        return "bilateral"
    return "left" if left else "right" if right else None


def read_zone(places: Iterable[str]) -> Zone | None:
    """Return the zone of the lungs that localisations name; None where they name none or several."""
    told = tuple(places)
    zones = [zone for zone, words in _ZONES.items() if any(word in place for place in told for word in words)]
    return zones[0] if len(zones) == 1 else None
