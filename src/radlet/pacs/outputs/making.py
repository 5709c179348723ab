"""From a kind of output to the object, and from the object to its file."""

from collections.abc import Callable
from io import BytesIO
from typing import get_args

from pydicom import dcmwrite
from pydicom.dataset import Dataset

from radlet.core.errors import ConfigError, DataError
from radlet.data.quiet import quiet_libraries
from radlet.pacs.outputs.capture import capture
from radlet.pacs.outputs.comprehensive_sr import comprehensive_sr
from radlet.pacs.outputs.encapsulated_pdf import encapsulated_pdf
from radlet.pacs.outputs.facts import ReportFacts
from radlet.pacs.outputs.text_sr import text_sr
from radlet.pacs.settings import OutputKind, SignedKind

MAKERS: dict[OutputKind, Callable[[ReportFacts], Dataset]] = {
    "text_sr": text_sr,
    "comprehensive_sr": comprehensive_sr,
    "capture": capture,
    "pdf": encapsulated_pdf,
}


def make_file(kind: OutputKind, facts: ReportFacts) -> bytes:
    """Return a draft or a signed report as a DICOM file of one kind.

    Raises:
        ConfigError: Signed reports are not written as this.
        DataError: The film of the report is no DICOM object, or its header does not allow it.
    """
    if facts.report.signed and kind not in get_args(SignedKind):
        raise ConfigError(f"A signed report is written as {', '.join(get_args(SignedKind))}, not as {kind}.")
    buffer = BytesIO()
    with quiet_libraries():
        try:
            dcmwrite(buffer, MAKERS[kind](facts), enforce_file_format=True)
        except DataError:
            raise
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            # Their words quote what they do not like, which may name the patient.
            raise DataError(
                f"The report cannot be written as {kind}: the header of its film does not allow it "
                f"({type(error).__name__})."
            ) from None
    return buffer.getvalue()
