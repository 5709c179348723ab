"""A draft as Basic Text SR (PS3.3 A.35.1), which every workstation that shows reports can read."""

import highdicom as hd
from highdicom.sr import (
    ContainerContentItem,
    ContentSequence,
    ImageContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from radlet.pacs.outputs.facts import DraftFacts
from radlet.pacs.outputs.identity import Frame, algorithm, observer, provenance

KIND = "text_sr"
SERIES_NUMBER = 9001
TITLE = Code("18748-4", "LN", "Diagnostic imaging report")
_CONTAINS = RelationshipTypeValues.CONTAINS


def text_sr(facts: DraftFacts) -> Dataset:
    """Return a draft as Basic Text SR, a text item a sentence.

    Raises:
        DataError: The film of the draft is no DICOM object.
    """
    frame = Frame.of(KIND, facts)
    root = ContainerContentItem(name=TITLE, template_id="2000")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(observer(facts.draft))
    root.ContentSequence.extend(algorithm(facts.draft))
    root.ContentSequence.append(findings(frame))
    # highdicom has no Basic Text SR: it is the Enhanced SR without numbers and coordinates, of which there are none.
    made = hd.sr.EnhancedSR(evidence=[frame.source], content=root, **frame.series(SERIES_NUMBER))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    return frame.finish(made)


def findings(frame: Frame) -> ContainerContentItem:
    """Return the section with what wrote the draft, its sentences, and the film that they were written from."""
    draft = frame.facts.draft
    section = ContainerContentItem(name=codes.DCM.Findings, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence()
    for line in provenance(draft):
        section.ContentSequence.append(TextContentItem(codes.DCM.Comment, line, _CONTAINS))
    for sentence in sentences(frame.facts):
        section.ContentSequence.append(TextContentItem(codes.DCM.Finding, sentence, _CONTAINS))
    section.ContentSequence.append(
        ImageContentItem(
            Code("121112", "DCM", "Source of Measurement"),
            frame.source.SOPClassUID,
            frame.source.SOPInstanceUID,
            relationship_type=_CONTAINS,
        )
    )
    return section


def sentences(facts: DraftFacts) -> list[str]:
    """Return the sentences of a draft; an empty one is told to be so."""
    draft = facts.draft
    return [draft.text[start:end] for start, end in draft.sentences] or ["(The draft is empty.)"]
