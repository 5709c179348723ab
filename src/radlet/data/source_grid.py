"""How the upright film that radlet reads lies over the pixel grid of the DICOM object it came from, and back.

`radlet.data.dicom` squares oblong pixels and turns films upright; who draws on the source image undoes both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from radlet.core.errors import DicomError
from radlet.core.records import View
from radlet.data.dicom_tags import body_part, number, orientation, view
from radlet.data.film import CHEST


@dataclass(frozen=True)
class Facing:
    """How a stored film is turned to stand upright: first transposed, then mirrored.

    Attributes:
        transposed: Rows and columns are exchanged.
        upside_down: The rows are read from the last one on.
        mirrored: The columns are read from the last one on.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def turn(self, stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a film (H, W) upright."""
        film = stored.T if self.transposed else stored
        return film[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


@dataclass(frozen=True)
class SourceGrid:
    """The pixel grid of a DICOM object, and how the film made of it stands.

    Attributes:
        num_rows: Rows (0028,0010).
        num_columns: Columns (0028,0011).
        facing: How it was turned.
    """

    num_rows: int
    num_columns: int
    facing: Facing

    def from_film(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points of the upright film lie in the source image.

        Args:
            points: (N, 2) of x and y, 0..1, origin at the top left of the upright film.

        Returns:
            (N, 2) of column and row in pixels; 0, 0 is the top left corner of the first pixel (PS3.3 C.10.5.1.2).
        """
        x, y = points[:, 0], points[:, 1]
        x = 1 - x if self.facing.mirrored else x
        y = 1 - y if self.facing.upside_down else y
        if self.facing.transposed:
            x, y = y, x
        return np.stack([x * self.num_columns, y * self.num_rows], axis=1)


def source_grid(header: Dataset) -> SourceGrid:
    """Return the grid of an image object.

    Raises:
        DicomError: The header tells no size.
    """
    rows, columns = (int(number(header, keyword) or 0) for keyword in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise DicomError("The header tells no number of rows and columns. Give an image object.")
    return SourceGrid(rows, columns, facing(header, view(header)))


_OPPOSITE = dict(zip("LRHFAP", "RLFHPA", strict=True))


def shown_orientation(header: Dataset) -> tuple[str, str] | None:
    """Return the directions of rows and columns of the upright film; None where the header states none."""
    directions = orientation(header)
    if directions is None or not set(directions) <= set(_OPPOSITE):
        return None
    row, column = directions
    turned = facing(header, view(header))
    if turned.transposed:
        row, column = column, row
    return _OPPOSITE[row] if turned.mirrored else row, _OPPOSITE[column] if turned.upside_down else column


def facing(header: Dataset, projection: View | None) -> Facing:
    """Return how a frontal chest is turned so that the head is up and the patient's left is on the viewer's right.

    Only what Patient Orientation (PS3.3 C.7.6.1.1.1) states is undone; without it the film stays as stored.
    """
    directions = orientation(header)
    if directions is None or projection == "LATERAL" or body_part(header) not in CHEST:
        return Facing()
    row, column = directions
    transposed = row in "HF" and column in "LR"
    if transposed:
        row, column = column, row
    if row not in "LR" or column not in "HF":
        return Facing()
    return Facing(transposed, upside_down=column == "H", mirrored=row == "R")
