"""All that an output says of a draft: the draft, its study, the film it was written from, and the model's regions."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from radlet.core.errors import DataError, RadletError
from radlet.core.records import State
from radlet.data.dicom import looks_like_dicom
from radlet.data.images import read_film
from radlet.data.labellers.rules import RuleLabeller
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing
from radlet.pacs.outputs.regions import Outline, outlines
from radlet.reading.evidence import Evidence
from radlet.reading.store.store import NotThereError, Store
from radlet.reading.store.tables import DraftRow, ImageRow, StudyRow

_LOG = logging.getLogger(__name__)
_HEAD_BYTES = 132
_NOTHING = "No Finding"
MAX_REGIONS = 8

Part = tuple[float, float, float, float]
Look = Callable[[StudyRow, DraftRow, int], tuple[Evidence, Part]]
"""Gives where the model looked for the n-th sentence of a draft, and which part of the film that map covers."""


@dataclass(frozen=True)
class Region:
    """Where the model looked while it wrote a sentence that mentions something.

    Attributes:
        number: Of the sentence, from 1.
        sentence: Its words.
        observation: What it mentions, one of `OBSERVATIONS`.
        outlines: Around the brightest parts of the map.
        faithfulness: Of the map; see `radlet.reading.evidence.Evidence`.
    """

    number: int
    sentence: str
    observation: str
    outlines: tuple[Outline, ...]
    faithfulness: float


@dataclass(frozen=True)
class DraftFacts:
    """What there is to tell of a draft.

    Attributes:
        study: Of which.
        draft: The draft.
        image: The film it was written from.
        source: That film's header, without pixels; None where it is no DICOM object.
        film: That film upright, (H, W).
        regions: Where the model looked; none where it could not be asked.
    """

    study: StudyRow
    draft: DraftRow
    image: ImageRow
    source: Dataset | None
    film: NDArray[np.uint8]
    regions: tuple[Region, ...] = ()

    def source_header(self) -> Dataset:
        """Return the header of the source film.

        Raises:
            DataError: It is no DICOM object.
        """
        if self.source is None:
            raise DataError(
                "The draft was written from a film that is no DICOM object, to which no DICOM object can refer. "
                "Export it as fhir or hl7."
            )
        return self.source


def gather(store: Store, study: StudyRow, draft: DraftRow, look: Look | None) -> DraftFacts:
    """Collect what there is to tell of a draft.

    Args:
        store: Of the reading room.
        study: The study, whole.
        draft: One of its drafts.
        look: Asks the model where it looked; None where there is no model.

    Raises:
        DataError: The film cannot be read.
        NotThereError: The film is gone.
    """
    image = next((image for image in study.images if image.id == draft.image_id), None)
    if image is None:
        raise NotThereError("The film of the draft is not in the store.")
    path = store.path_of(image)
    regions = regions_of(study, draft, look) if look else ()
    with path.open("rb") as file:
        is_dicom = looks_like_dicom(file.read(_HEAD_BYTES))
    source = None
    if is_dicom:
        with quiet_libraries(), refusing("The DICOM object is damaged or malformed", DataError):
            source = dcmread(path, force=True, stop_before_pixels=True)
    return DraftFacts(study, draft, image, source, read_film(path).pixels, regions)


def regions_of(study: StudyRow, draft: DraftRow, look: Look) -> tuple[Region, ...]:
    """Return where the model looked for each sentence that mentions an observation as there, or perhaps there."""
    found: list[Region] = []
    for number, (start, end) in enumerate(draft.sentences):
        sentence = draft.text[start:end]
        observation = _mentioned(sentence)
        if observation is None or len(found) == MAX_REGIONS:
            continue
        try:
            evidence, part = look(study, draft, number)
        except RadletError as error:
            # A draft without regions is still a draft.
            _LOG.warning("a sentence has no evidence map: %s", type(error).__name__)
            continue
        drawn = outlines(evidence.weights, part)
        if drawn:
            found.append(Region(number + 1, sentence, observation, drawn, evidence.faithfulness))
    return tuple(found)


def _mentioned(sentence: str) -> str | None:
    states = RuleLabeller().label([sentence])[0]
    for wanted in (State.POSITIVE, State.UNCERTAIN):
        for name, state in states.items():
            if state == wanted and name != _NOTHING:
                return name
    return None
