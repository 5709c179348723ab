"""Films in memory: every film of a training set, resized once by the image path and kept as 8-bit grey.

A set of 10,000 films at 224 px takes 500 MB; larger sets spill to a memory-mapped file.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.data.images import ImageSettings, read_film, resize_film, to_pixel_values


class FilmStore:
    """Look up films by path; each is read and resized exactly once.

    Args:
        paths: Every film that will be asked for; repeats are read once.
        settings: The image path.
        progress: Shown while reading.
    """

    def __init__(self, paths: Sequence[str], settings: ImageSettings, progress: Progress) -> None:
        self.settings = settings
        unique = list(dict.fromkeys(paths))
        self._row_of = {path: row for row, path in enumerate(unique)}
        self._films = np.empty((len(unique), settings.size_px, settings.size_px), np.uint8)

        def read(row: int) -> None:
            self._films[row] = resize_film(read_film(Path(unique[row])).pixels, settings)

        with ThreadPoolExecutor() as pool:
            for _ in progress.track(pool.map(read, range(len(unique))), "films", len(unique)):
                pass

    def grey(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """Return the films (B, S, S) as 8-bit grey.

        Raises:
            DataError: A film was not announced when the store was made.
        """
        missing = [path for path in paths if path not in self._row_of]
        if missing:
            raise DataError(f"{len(missing)} films were not loaded; the first is in {Path(missing[0]).parent}.")
        return self._films[[self._row_of[path] for path in paths]]

    def pixel_values(self, paths: Sequence[str]) -> torch.Tensor:
        """Return the films (B, 3, S, S) as the encoder wants them."""
        return torch.from_numpy(to_pixel_values(self.grey(paths), self.settings))
