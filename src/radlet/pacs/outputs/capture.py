"""A draft as Secondary Capture (PS3.3 A.8.1): the film with the regions drawn and the draft below it."""

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from radlet.data.source_grid import shown_orientation
from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.identity import Frame
from radlet.pacs.outputs.picture import draw_sheet

KIND = "capture"
SERIES_NUMBER = 9003


def capture(facts: ReportFacts) -> Dataset:
    """Return a draft as a colour picture, with the words that it is one burned in.

    Raises:
        DataError: The film of the draft is no DICOM object.
    """
    frame = Frame.of(KIND, facts)
    orientation = shown_orientation(facts.source_header())
    made = hd.sc.SCImage(
        pixel_array=draw_sheet(facts),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=orientation or ("L", "F"),
        **frame.study(),
        **frame.series(SERIES_NUMBER),
    )
    if orientation is None:
        # highdicom wants one; the source states none, and the film was drawn as it is.
        made.PatientOrientation = None
    # Not from a digital interface of the detector: a workstation drew it.
    made.ConversionType = "WSD"
    made.BurnedInAnnotation = "YES"
    made.ImageComments = facts.report.notice
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.DerivationDescription = "Where a model looked, drawn over the film, with its draft"
    source = frame.reference()
    purpose = Dataset()
    code = codes.DCM.SourceImageForImageProcessingOperation
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = code.value, "DCM", code.meaning
    source.PurposeOfReferenceCodeSequence = [purpose]
    made.SourceImageSequence = [source]
    return frame.finish(made)
