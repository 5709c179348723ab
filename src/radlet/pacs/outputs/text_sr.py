"""A report as Basic Text SR (PS3.3 A.35.1), which every workstation that shows reports can read."""

from typing import Any

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

from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identity import Frame, algorithm, observers
from radlet.pacs.outputs.reports import Report

KIND = "text_sr"
SERIES_NUMBER = 9001
TITLE = Code("18748-4", "LN", "Diagnostic imaging report")
_CONTAINS = RelationshipTypeValues.CONTAINS


def text_sr(facts: ReportFacts) -> Dataset:
    """Return a draft, or a signed report, as Basic Text SR, a text item a sentence or a line.

    Raises:
        DataError: The film of the report is no DICOM object.
    """
    frame, report = Frame.of(KIND, facts), facts.report
    root = ContainerContentItem(name=TITLE, template_id="2000")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(observers(report))
    if report.draft:
        root.ContentSequence.extend(algorithm(report.draft))
    root.ContentSequence.append(findings(frame))
    # highdicom has no Basic Text SR: it is the Enhanced SR without numbers and coordinates, of which there are none.
    made = hd.sr.EnhancedSR(evidence=[frame.source], content=root, **frame.series(SERIES_NUMBER), **_verified(report))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
    for observer in made.get("VerifyingObserverSequence", ()):
        observer.VerificationDateTime = frame.moment.strftime("%Y%m%d%H%M%S%z")
    return frame.finish(made)


def _verified(report: Report) -> dict[str, Any]:
    """Return the arguments that tell who answers for the document (PS3.3 C.17.2)."""
    signed = report.signed
    if signed is None:
        return {}
    return {
        "is_complete": True,
        "is_final": True,
        "is_verified": True,
        "verifying_observer_name": signed.name,
        "verifying_organization": signed.organization,
        "previous_versions": list(signed.predecessors) or None,
    }


def findings(frame: Frame) -> ContainerContentItem:
    """Return the section with what wrote the report, its lines, and the film that it is about."""
    report = frame.facts.report
    section = ContainerContentItem(name=codes.DCM.Findings, relationship_type=_CONTAINS)
    section.ContentSequence = ContentSequence()
    for line in report.provenance:
        section.ContentSequence.append(TextContentItem(codes.DCM.Comment, line, _CONTAINS))
    for line in report.lines:
        section.ContentSequence.append(TextContentItem(codes.DCM.Finding, line, _CONTAINS))
    section.ContentSequence.append(
        ImageContentItem(
            Code("121112", "DCM", "Source of Measurement"),
            frame.source.SOPClassUID,
            frame.source.SOPInstanceUID,
            relationship_type=_CONTAINS,
        )
    )
    return section
