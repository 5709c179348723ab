"""A report as Encapsulated PDF (PS3.3 A.45.1): a page with the film, the regions of a draft, and the text."""

import re
from io import BytesIO

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identity import Frame
from radlet.pacs.outputs.picture import draw_film
from radlet.pacs.outputs.text_sr import TITLE

KIND = "pdf"
SERIES_NUMBER = 9004
_FILM_MM = 110.0
_NOT_LATIN = re.compile(r"[^\x20-\x7e\xa0-\xff]")


def encapsulated_pdf(facts: ReportFacts) -> Dataset:
    """Return a draft, or a signed report, as a PDF in a DICOM object.

    Raises:
        DataError: The film of the report is no DICOM object.
    """
    frame = Frame.of(KIND, facts)
    made = SOPClass(
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **frame.study(),
        **frame.series(SERIES_NUMBER),
    )
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.VerificationFlag = "VERIFIED" if facts.report.signed else "UNVERIFIED"
    made.AcquisitionDateTime = ""
    made.DocumentTitle = facts.report.notice
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = TITLE.value, "LN", TITLE.meaning
    made.ConceptNameCodeSequence = [title]
    made.SourceInstanceSequence = [frame.reference()]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    content = write_pdf(facts)
    made.EncapsulatedDocumentLength = len(content)
    made.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return frame.finish(made)


def write_pdf(facts: ReportFacts) -> bytes:
    """Return the page, without the patient's name: a PDF travels alone."""
    report = facts.report
    page = FPDF(format="A4")
    page.set_creation_date(report.moment)
    page.set_title(report.notice)
    page.set_creator("radlet")
    page.set_auto_page_break(auto=True, margin=15)
    page.add_page()
    _line(page, report.notice, 16, "B")
    number = facts.study.accession_number or facts.study.study_uid or facts.study.id
    _line(page, f"Study {number}, {facts.study.study_date or 'without a date'}", 10)
    picture = BytesIO()
    drawn = draw_film(facts)
    drawn.save(picture, "PNG")
    width = min(_FILM_MM, _FILM_MM * drawn.width / drawn.height)
    page.image(picture, w=width)
    page.ln(4)
    for number_of_line, line in enumerate(report.lines, 1):
        # The numbers are those of the regions, which drafts alone have.
        _line(page, line if report.signed else f"{number_of_line}. {line}", 11)
    page.ln(4)
    for line in report.provenance:
        _line(page, line, 8)
    return bytes(page.output())


def _line(page: FPDF, text: str, size: float, style: str = "") -> None:
    page.set_font("Helvetica", style, size)
    # The fonts that every reader of PDF has know Latin-1.
    page.multi_cell(0, size * 0.5, _NOT_LATIN.sub("?", text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
