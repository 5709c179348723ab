"""A film reduced to what the quality checks look at: its size, its lines and a small copy."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from radlet.core.records import ImageRecord
from radlet.data.quality.appearance import ViewShares, cut_shares, inverted_share, read_features, view_shares

SIDE = 128
"""Side of the small copy in pixels."""
_BLOCKS = 16
_LINES = 256


@dataclass(frozen=True)
class ReducedFilm:
    """One film, reduced.

    Attributes:
        image: The film's row of the manifest.
        height_px: Rows of the film itself.
        width_px: Columns of the film itself.
        grey: (128, 128) area means of the film, stretched to a square, in 0..1; bright is dense.
        columns: (2, 256) mean and standard deviation of the greys, 0..1, of columns from the left to the right.
        rows: (2, 256) the same of rows from the top to the bottom.
        counts: (256,) how often each grey occurs in the middle three fifths of the film itself, of some of its lines.
    """

    image: ImageRecord
    height_px: int
    width_px: int
    grey: NDArray[np.float32]
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]
    counts: NDArray[np.intp]

    @cached_property
    def blocks(self) -> NDArray[np.float64]:
        """(16, 16) area means: what is left when noise and fine structure are gone."""
        return _area_means(self.grey, _BLOCKS)

    @cached_property
    def centre(self) -> NDArray[np.float32]:
        """(76, 76) the middle three fifths of the small copy, where a chest film shows the chest."""
        edge = SIDE // 5 + 1
        return self.grey[edge:-edge, edge:-edge]

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """(768,) what the classifiers read; see `appearance`."""
        return read_features(_area_means(self.grey, SIDE // 2))

    @cached_property
    def shares(self) -> ViewShares:
        """How much the film looks like each kind of view."""
        return view_shares(self.features)

    @cached_property
    def cuts(self) -> dict[str, float]:
        """How likely lung lies beyond each side, 0..1."""
        return cut_shares(self.features)

    @cached_property
    def inverted(self) -> float:
        """How much the film looks as if black and white were exchanged, 0..1."""
        return inverted_share(self.features)


def reduce_film(image: ImageRecord, pixels: NDArray[np.uint8]) -> ReducedFilm:
    """Reduce display grey (H, W)."""
    film = Image.fromarray(pixels)
    small = film.resize((SIDE, SIDE), Image.Resampling.BOX)
    lines = np.asarray(film.resize((_LINES, _LINES), Image.Resampling.BOX)) / np.float32(255)
    return ReducedFilm(
        image=image,
        height_px=pixels.shape[0],
        width_px=pixels.shape[1],
        grey=np.asarray(small, np.float32) / np.float32(255),
        columns=np.stack([lines.mean(axis=0), lines.std(axis=0)]),
        rows=np.stack([lines.mean(axis=1), lines.std(axis=1)]),
        counts=_grey_counts(pixels),
    )


def _grey_counts(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Count the greys of every n-th line, so that a large film takes no longer than a small one."""
    height, width = pixels.shape
    middle = pixels[height // 5 : height - height // 5, width // 5 : width - width // 5]
    return np.bincount(middle[:: -(-len(middle) // SIDE)].ravel(), minlength=256)


def _area_means(grey: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    step = grey.shape[0] // side
    return np.asarray(grey.reshape(side, step, side, step).mean(axis=(1, 3)), np.float64)
