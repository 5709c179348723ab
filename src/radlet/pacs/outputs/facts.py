"""All that an output says: a draft or a signed report, its study, its film, and the regions of the model."""

import logging
import re
from collections.abc import Callable, Iterator
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
from radlet.pacs.outputs.identifiers import SR_CLASSES, predecessor
from radlet.pacs.outputs.regions import Outline, outlines
from radlet.pacs.outputs.reports import Report, Signed, Signing
from radlet.reading.draft_queue import ClosedError
from radlet.reading.evidence import Evidence
from radlet.reading.outbox import deliveries_of
from radlet.reading.store.basis import NotThereError
from radlet.reading.store.store import Store
from radlet.reading.store.tables import DraftRow, ImageRow, SignatureRow, StudyRow
from radlet.reading.store.troubles import TroubleError

_LOG = logging.getLogger(__name__)
_HEAD_BYTES = 132
_NOTHING = "No Finding"
_NOT_IN_A_NAME = re.compile(r"[\\^=\x00-\x1f]")
_LABELLER = RuleLabeller()
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
class ReportFacts:
    """What there is to tell of a draft or a signed report.

    Attributes:
        study: Of which.
        report: The text, and who answers for it.
        image: The film it was written from.
        source: That film's header, without pixels; None where it is no DICOM object.
        film: That film upright, (H, W).
        regions: Where the model looked; none where it could not be asked.
    """

    study: StudyRow
    report: Report
    image: ImageRow
    source: Dataset | None
    film: NDArray[np.uint8]
    regions: tuple[Region, ...] = ()

    @property
    def draft(self) -> DraftRow:
        """The draft that the report is, or was written from.

        Raises:
            DataError: A person wrote it without one.
        """
        if self.report.draft is None:
            raise DataError("The report was written without a draft.")
        return self.report.draft

    def source_header(self) -> Dataset:
        """Return the header of the source film.

        Raises:
            DataError: It is no DICOM object.
        """
        if self.source is None:
            raise DataError(
                "The report is about a film that is no DICOM object, to which no DICOM object can refer. "
                "Export it as fhir or hl7."
            )
        return self.source


def gather(store: Store, study: StudyRow, draft: DraftRow, look: Look | None) -> ReportFacts:
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
    image = _film_of(study, draft)
    regions = regions_of(study, draft, look) if look else ()
    return _with_film(store, study, Report.of_draft(draft), image, regions)


def gather_signed(store: Store, study: StudyRow, signature: SignatureRow, signing: Signing) -> ReportFacts:
    """Collect what there is to tell of a signed report.

    Args:
        store: Of the reading room.
        study: The study, whole.
        signature: One of its signatures.
        signing: For whom people sign.

    Raises:
        DataError: The film cannot be read.
        NotThereError: The film is gone.
    """
    draft = next((draft for draft in study.drafts if draft.id == signature.draft_id), None)
    earlier = {one.id for one in study.signatures if one.signed_at < signature.signed_at}
    account = signature.signed_by
    signed = Signed(
        name=signing.names.get(account) or _NOT_IN_A_NAME.sub(" ", account),
        account=account,
        organization=signing.organization,
        predecessors=tuple(_predecessors(store, study, draft, earlier)),
        is_amended=bool(earlier),
    )
    return _with_film(store, study, Report.of_signature(signature, draft, signed), _film_of(study, draft))


def _predecessors(store: Store, study: StudyRow, draft: DraftRow | None, earlier: set[str]) -> Iterator[Dataset]:
    """Yield the reports that were sent and whose content a signed one takes over, each once."""
    sources = {*earlier, *({draft.id} if draft else ())}
    told: set[tuple[str, str]] = set()
    for row in deliveries_of(store, study.id):
        source = row.signature_id or row.draft_id or ""
        if source in sources and row.kind in SR_CLASSES and row.state != "dead" and (source, row.kind) not in told:
            told.add((source, row.kind))
            yield predecessor(study.study_uid or "", source, row.kind)


def _film_of(study: StudyRow, draft: DraftRow | None) -> ImageRow:
    """Return the film of a draft; without a draft, the first that other objects can refer to, or else the first."""
    if draft:
        wanted = [image for image in study.images if image.id == draft.image_id]
    else:
        wanted = sorted(study.images, key=lambda image: (image.sop_instance_uid is None, image.position))
    if not wanted:
        raise NotThereError("The film of the report is not in the store.")
    return wanted[0]


def _with_film(
    store: Store, study: StudyRow, report: Report, image: ImageRow, regions: tuple[Region, ...] = ()
) -> ReportFacts:
    path = store.path_of(image)
    with path.open("rb") as file:
        is_dicom = looks_like_dicom(file.read(_HEAD_BYTES))
    source = None
    if is_dicom:
        with quiet_libraries(), refusing("The DICOM object is damaged or malformed", DataError):
            source = dcmread(path, force=True, stop_before_pixels=True)
    return ReportFacts(study, report, image, source, read_film(path).pixels, regions)


def regions_of(study: StudyRow, draft: DraftRow, look: Look) -> tuple[Region, ...]:
    """Return where the model looked for each sentence that mentions an observation as there, or perhaps there.

    Raises:
        ClosedError: The model is being stopped; another time it can be asked.
        TroubleError: The store does not answer, likewise.
    """
    found: list[Region] = []
    for number, (start, end) in enumerate(draft.sentences):
        sentence = draft.text[start:end]
        observation = _mentioned(sentence)
        if observation is None or len(found) == MAX_REGIONS:
            continue
        try:
            evidence, part = look(study, draft, number)
        except (ClosedError, TroubleError):
            raise
        except RadletError as error:
            # A draft without regions is still a draft.
            _LOG.warning("a sentence has no evidence map: %s", type(error).__name__)
            continue
        drawn = outlines(evidence.weights, part)
        if drawn:
            found.append(Region(number + 1, sentence, observation, drawn, evidence.faithfulness))
    return tuple(found)


def _mentioned(sentence: str) -> str | None:
    states = _LABELLER.label([sentence])[0]
    for wanted in (State.POSITIVE, State.UNCERTAIN):
        for name, state in states.items():
            if state == wanted and name != _NOTHING:
                return name
    return None
