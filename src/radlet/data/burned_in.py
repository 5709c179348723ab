"""Look for burned-in text on a film that may tell who the patient is; such films are quarantined, never quoted.

The text is found and read by RapidOCR, whose models come inside its package. A film may carry markers of side and
projection, initials and exposure values; a word of four letters that is none of these, or a number of four figures or
in the form of a date, is taken for an identifier.
"""

import re
import threading
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radlet.data.extra import require
from radlet.data.film import Film
from radlet.data.refusal import QuarantineError

REASON = "burned-in text"

_MAX_SIDE_PX = 1536
"""Larger films are reduced before they are read: text that is small at this size is no overlay of a console."""
_MIN_SCORE = 0.5
"""Confidence under which what was read counts as no text."""
_READING = threading.Lock()
"""The reader keeps its settings in itself, so that threads take turns."""
_MARKERS_TEXT = """
BETTAUFNAHME BIPEDESTACION CLINO DECUBITO HRS PAGE PATIENT SUPINO
ANTERIOR APICAL BEDSIDE CHEST CROSSTABLE DECUB DECUBITUS ERECT EXPIRATION EXPIRATORY FLOOR FRONTAL INSPIRATION
INSPIRATORY LATERAL LEFT LORDOTIC MOBILE NEUTRAL OBLIQUE PORT PORTABLE POSTERIOR RECUMBENT RIGHT SEMI SEMIERECT
SEMIUPRIGHT SITTING STANDING SUPINE STATIC TABLE THORAX TRAUMA UPRIGHT VIEW WEIGHT WHEELCHAIR STRETCHER INCHES FILM
GRID
"""
_MARKERS = frozenset(_MARKERS_TEXT.split())
"""What may stand on a film in four letters or more. Shorter words (L, R, PA, AP, LAT, kVp, initials) always may."""
_SEVERAL_MARKERS = re.compile(rf"[LR]?(?:PA|AP|LAT|LT|RT|{'|'.join(sorted(_MARKERS, key=len, reverse=True))})+[LR]?")
"""Markers that were read without the spaces between them."""
_TIME = re.compile(r"(?<!\d)\d{1,2}:\d{2}(?::\d{2})?(?!\d)|(?<!\d)\d{1,2}[.:]?\d{2}[ ]?(?i:hrs?|hours)\b")
_DATE = re.compile(r"\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}")
_LONG_NUMBER = re.compile(r"\d(?:[ /.:-]?\d){3,}")
_EXPOSURE = re.compile(r"(?i)^\W*\d{1,3}(?:\.\d{1,3})?\s*(?:kvp?|mas?|ms|cm|mm|in|ft|%)\W*$")


def check_burned_in(film: Film) -> None:
    """Refuse a film that says it carries identifying text, or on which some is found.

    Raises:
        QuarantineError: There is such text, or the header declares it (Burned In Annotation, PS3.3 C.7.6.1).
    """
    if film.burned_in:
        raise QuarantineError(f"{REASON}: Burned In Annotation (0028,0301) is YES")
    words, numbers = count_text(film.pixels)
    if words or numbers:
        raise QuarantineError(f"{REASON}: {words} words and {numbers} numbers on the film are no markers")


def count_text(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Return how many words and how many numbers stand on a film, (H, W), that are no markers; safe for threads."""
    words, numbers = (sum(counts) for counts in zip((0, 0), *map(suspicious, _read_text(pixels)), strict=True))
    return words, numbers


def require_reader() -> None:
    """Check that the reader of text is installed.

    Raises:
        ConfigError: It is not.
    """
    require("rapidocr", "onnxruntime")


def suspicious(text: str) -> tuple[int, int]:
    """Return how many words and how many numbers of a line are none that a film usually carries."""
    if _EXPOSURE.match(text):
        return 0, 0
    words = [word for word in re.findall(r"[^\W\d_]{2,}", text) if not _SEVERAL_MARKERS.fullmatch(word.upper())]
    # Two short words side by side are a name (LI WEI) before they are two pairs of initials.
    long = [word for word in words if len(word) >= 4]
    names = long or ([word for word in words if len(word) == 3] if len([w for w in words if len(w) >= 3]) > 1 else [])
    text = _TIME.sub(" ", text)
    numbers = len(_DATE.findall(text)) or len(_LONG_NUMBER.findall(text))
    return len(names), numbers


def _read_text(pixels: NDArray[np.uint8]) -> list[str]:
    """Return the lines of text on a film, (H, W) uint8, that were read with some confidence."""
    image = Image.fromarray(pixels)
    image.thumbnail((_MAX_SIDE_PX, _MAX_SIDE_PX))
    with _READING:
        found = _reader()(np.asarray(image.convert("RGB")), use_cls=False)
    return [text for text, score in zip(found.txts or (), found.scores or (), strict=True) if score >= _MIN_SCORE]


@cache
def _reader() -> Any:
    require_reader()
    from rapidocr import RapidOCR  # noqa: PLC0415 - an extra, and slow to import

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
