"""What a DICOM header says about a film: view, laterality, body part. Called by `radlet.data.dicom`.

Headers of real archives are sloppy, so single values are read leniently: what is absent or malformed is None.
"""

import re
from math import isfinite

from pydicom.dataset import Dataset

from radlet.core.records import View

_VIEW_POSITIONS: dict[str, View] = {
    "PA": "PA",
    "AP": "AP",
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT"), "LATERAL"),
}
"""View Position (PS3.3 C.8.7.1.1.1 and C.8.11.5), with the spellings that occur beside the defined terms."""

_VIEW_CODES: dict[str, View] = {
    # PS3.16 CID 4010, as SNOMED CT and as the older SNOMED RT codes.
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399067008", "R-102CD", "399173006", "R-10236", "399198007", "R-10232"), "LATERAL"),
}

_DESCRIBED_VIEWS: tuple[tuple[re.Pattern[str], View], ...] = (
    (re.compile(r"\b(PA|P\.A\.?|POSTERO-?ANTERIOR)(?![A-Z])"), "PA"),
    (re.compile(r"\b(AP|A\.P\.?|ANTERO-?POSTERIOR)(?![A-Z])"), "AP"),
    (re.compile(r"\b(LAT|LATERAL|LLAT|RLAT)\b"), "LATERAL"),
)

_NOT_A_PLAIN_VIEW = re.compile(r"DECUB|OBLIQ|LORDOTIC")

LATERALITIES = {"L": "L", "R": "R", "B": "B", "LEFT": "L", "RIGHT": "R", "BOTH": "B"}


def number(header: Dataset, keyword: str, index: int = 0) -> float | None:
    """Return the `index`-th value of an element as a finite number, or None when there is none."""
    try:
        value = header.get(keyword)
        if value is not None and not isinstance(value, (str, float, int)):
            value = value[index]
        elif index:
            return None
        found = float(value)
        return found if isfinite(found) else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def text(header: Dataset, keyword: str) -> str:
    """Return an element as one line of capitals, or "" when there is none."""
    try:
        value = header.get(keyword)
    except (ValueError, TypeError):
        return ""
    if value is None:
        return ""
    first = value if isinstance(value, str) else next(iter(value), "") if hasattr(value, "__iter__") else value
    return str(first).strip().upper()


def orientation(header: Dataset) -> tuple[str, str] | None:
    """Return the main directions of rows and columns (PS3.3 C.7.6.1.1.1), for example ("L", "F")."""
    try:
        row, column = header.get("PatientOrientation") or ("", "")
        return str(row).strip().upper()[0], str(column).strip().upper()[0]
    except (ValueError, TypeError, IndexError):
        return None


def view(header: Dataset) -> View | None:
    """Return the projection, from the most to the least reliable element; None when unknown or not a plain one."""
    position = text(header, "ViewPosition")
    if position:
        return _VIEW_POSITIONS.get(position)
    for code in _view_codes(header):
        return _VIEW_CODES.get(code)
    directions = orientation(header)
    if directions and directions[0] in "AP" and directions[1] in "HF":
        return "LATERAL"
    return described_view(text(header, "SeriesDescription"))


def described_view(description: str) -> View | None:
    """Find the one view that a free-text description names; None when it names none, several or a special one."""
    description = description.upper()
    if _NOT_A_PLAIN_VIEW.search(description):
        return None
    found = [name for pattern, name in _DESCRIBED_VIEWS if pattern.search(description)]
    return found[0] if len(found) == 1 else None


def laterality(header: Dataset) -> str | None:
    """Return "L", "R" or "B" from Image Laterality, Laterality, or the side named by a lateral View Position."""
    for keyword in ("ImageLaterality", "Laterality"):
        if text(header, keyword) in LATERALITIES:
            return LATERALITIES[text(header, keyword)]
    position = text(header, "ViewPosition")
    return position[0] if position in ("LL", "RL", "LLAT", "RLAT") else None


def body_part(header: Dataset) -> str | None:
    """Return Body Part Examined, else the meaning of the anatomic region code (PS3.3 10.5), in capitals."""
    examined = text(header, "BodyPartExamined")
    if examined:
        return examined
    for item in header.get("AnatomicRegionSequence") or ():
        return text(item, "CodeMeaning") or None
    return None


def _view_codes(header: Dataset) -> list[str]:
    items = header.get("ViewCodeSequence") or ()
    return [code for code in (text(item, "CodeValue") for item in items) if code]
