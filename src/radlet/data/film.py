"""A decoded film, as every reader of `radlet.data` returns it, and the sizes that pass for one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.core.records import View

MAX_PIXELS = 64 * 1024 * 1024
"""Most pixels of one film; the largest detectors have about 20 million. Stops decompression bombs."""

MAX_SIDE_RATIO = 8.0
"""Longest allowed side, in units of the shorter; a strip is no film, and explodes when resized by its short edge."""

CHEST = ("CHEST", "THORAX")
"""Body Part Examined (PS3.16 annex L) of a chest, and the Latin that stands in its place."""


@dataclass(frozen=True)
class Film:
    """One film in display grey, with what its header says of it.

    Attributes:
        pixels: (H, W) uint8; bright is dense (bone white, air black), pixels are square.
        view: Projection, when the file says so.
        laterality: "L", "R" or "B", when the file says so.
        modality: DICOM modality, for example CR or DX; None for PNG and JPEG.
        body_part: Body part in capitals, for example CHEST; None when unknown.
        burned_in: Whether the header says that identifying text is burned in.
    """

    pixels: NDArray[np.uint8]
    view: View | None = None
    laterality: str | None = None
    modality: str | None = None
    body_part: str | None = None
    burned_in: bool = False


@dataclass(frozen=True)
class DeepFilm:
    """One film in as many greys as the file has, also beyond the window that its header names.

    Attributes:
        pixels: (H, W) uint8 or uint16; bright is dense, pixels are square, the film stands as in `Film`.
        low: Display grey of the value 0, where 0 is black and 1 white in the window of the header.
        high: Display grey of the highest value of the type.
        ends: Modality values (PS3.3 C.11.1) at display greys 0 and 1, where the header's window is linear.
    """

    pixels: NDArray[np.unsignedinteger]
    low: float = 0.0
    high: float = 1.0
    ends: tuple[float, float] | None = None


def check_size(height: int, width: int) -> None:
    """Refuse sizes that no film has, before memory is spent on them.

    Raises:
        DataError: A side is empty, there are too many pixels, or one side is far longer than the other.
    """
    if height < 1 or width < 1:
        raise DataError(f"The image has {height} rows and {width} columns; a film needs at least one of each.")
    if height * width > MAX_PIXELS:
        raise DataError(
            f"The image has {height} x {width} pixels; at most {MAX_PIXELS} are read, as a guard against "
            "decompression bombs. Shrink it first if it really is a film."
        )
    if max(height, width) > MAX_SIDE_RATIO * min(height, width):
        raise DataError(
            f"The image has {height} x {width} pixels; one side may be at most {MAX_SIDE_RATIO:g} times the other. "
            "Cut the film out of the strip first."
        )
