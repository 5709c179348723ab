"""What a probe shows in a film's place: changes of one film in display grey (H, W), made in memory.

Each is a `FilmChange` of the image path, which applies it to the film as it was read; nothing is written to disk.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radlet.core.records import Box
from radlet.data.images import FilmChange

Grey = NDArray[np.uint8]

JPEG_QUALITY = 75
_STEPS = 24
"""Places along each side that are tried for a box elsewhere."""


def blank(film: Grey) -> Grey:
    """Return a film of one grey, the mean of this one, so that only what is on it is lost."""
    return np.full_like(film, round(float(film.mean())))


def noise(seed: Sequence[int]) -> FilmChange:
    """Return a change into normal noise of the film's own mean and spread."""

    def change(film: Grey) -> Grey:
        drawn = np.random.default_rng(seed).normal(film.mean(), film.std(), film.shape)
        return np.clip(drawn, 0, 255).astype(np.uint8)

    return change


def mirrored(film: Grey) -> Grey:
    """Return the film with left and right exchanged."""
    return np.ascontiguousarray(film[:, ::-1])


def shifted(input_px: int) -> FilmChange:
    """Return a shift to the right by one pixel of an encoder that sees `input_px`; the left edge is repeated."""

    def change(film: Grey) -> Grey:
        step = max(1, round(min(film.shape) / input_px))
        return np.pad(film, ((0, 0), (step, 0)), mode="edge")[:, :-step]

    return change


def reencoded(film: Grey) -> Grey:
    """Return the film after a pass through JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    with Image.open(buffer) as image:
        return np.array(image)


def painted_over(boxes: Sequence[Box]) -> FilmChange:
    """Return a change that paints each box with its surroundings: a smooth blend of the grey along its four sides."""

    def change(film: Grey) -> Grey:
        painted = film.copy()
        for box in boxes:
            _paint(painted, box)
        return painted

    return change


def box_elsewhere(box: Box, taken: Sequence[Box], seed: Sequence[int]) -> Box | None:
    """Return a box of the same size, drawn among the places that touch none of `taken`; None where there is none."""
    width, height = box.x_max - box.x_min, box.y_max - box.y_min
    corners = [(x, y) for x in np.linspace(0, 1 - width, _STEPS) for y in np.linspace(0, 1 - height, _STEPS)]
    places = [Box(x_min=x, y_min=y, x_max=min(x + width, 1), y_max=min(y + height, 1)) for x, y in corners]
    free = [place for place in places if not any(_touch(place, other) for other in taken)]
    return free[int(np.random.default_rng(seed).integers(len(free)))] if free else None


class _Window(NamedTuple):
    """Rows and columns of a box on a film, half open."""

    top: int
    bottom: int
    left: int
    right: int


def _paint(film: Grey, box: Box) -> None:
    height, width = film.shape
    window = _Window(
        int(np.floor(box.y_min * height)),
        max(int(np.ceil(box.y_max * height)), int(np.floor(box.y_min * height)) + 1),
        int(np.floor(box.x_min * width)),
        max(int(np.ceil(box.x_max * width)), int(np.floor(box.x_min * width)) + 1),
    )
    above, below, before, behind = _surroundings(film, window)
    rows, columns = window.bottom - window.top, window.right - window.left
    down = ((np.arange(rows) + 1) / (rows + 1))[:, None]
    along = ((np.arange(columns) + 1) / (columns + 1))[None, :]
    vertical = above * (1 - down) + below * down
    horizontal = before[:, None] * (1 - along) + behind[:, None] * along
    # The nearer pair of sides counts more, so that the blend meets the film on all four.
    near_rows, near_columns = down * (1 - down), along * (1 - along)
    blend = (vertical * near_columns + horizontal * near_rows) / (near_rows + near_columns)
    film[window.top : window.bottom, window.left : window.right] = np.clip(np.rint(blend), 0, 255).astype(np.uint8)


def _surroundings(film: Grey, window: _Window) -> tuple[NDArray[np.float64], ...]:
    """Return the grey just above, below, left and right of a window; on an edge of the film, of the side across."""
    height, width = film.shape
    rows, columns = slice(window.top, window.bottom), slice(window.left, window.right)
    above, below = window.top - 1, window.bottom
    before, behind = window.left - 1, window.right
    above, below = _inside(above, below, height)
    before, behind = _inside(before, behind, width)
    lines = film[above, columns], film[below, columns], film[rows, before], film[rows, behind]
    return tuple(line.astype(np.float64) for line in lines)


def _inside(first: int, last: int, size: int) -> tuple[int, int]:
    if first < 0 and last >= size:
        return 0, size - 1
    return (last if first < 0 else first), (first if last >= size else last)


def _touch(a: Box, b: Box) -> bool:
    return a.x_min < b.x_max and b.x_min < a.x_max and a.y_min < b.y_max and b.y_min < a.y_max
