"""Films in memory: every film of a training set, resized once by the image path and kept as 8-bit grey.

A set of 10,000 films at 224 px takes 500 MB. Where neither the encoder nor the films change from step to step, what the
encoder sees is kept instead (`film_features`), and the encoder runs once a film rather than once a step.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.console import Progress
from radlet.core.errors import DataError
from radlet.data.images import ImageSettings, read_run_film, resize_film, to_pixel_values


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
            self._films[row] = resize_film(read_run_film(Path(unique[row])), settings)

        with ThreadPoolExecutor() as pool:
            for _ in progress.track(pool.map(read, range(len(unique))), "films", len(unique)):
                pass

    def holds(self, paths: Sequence[str]) -> bool:
        """Say whether every film is here."""
        return all(path in self._row_of for path in paths)

    def grey(self, paths: Sequence[str]) -> NDArray[np.uint8]:
        """Return the films (B, S, S) as 8-bit grey.

        Raises:
            DataError: A film was not announced when the store was made.
        """
        return self._films[_rows(self._row_of, paths)]

    def pixel_values(self, paths: Sequence[str]) -> torch.Tensor:
        """Return the films (B, 3, S, S) as the encoder wants them."""
        return torch.from_numpy(to_pixel_values(self.grey(paths), self.settings))


_LAST: list[FilmStore] = []


def films_in_memory(paths: Sequence[str], settings: ImageSettings, progress: Progress) -> FilmStore:
    """Return a store that holds the films: the process's last one if it does, else a new one in its place.

    The stages of one run ask for the same films one after the other, and no stage changes a film.
    """
    if _LAST and _LAST[0].settings == settings and _LAST[0].holds(paths):
        return _LAST[0]
    _LAST.clear()  # before the new one is read: only one of them need fit into memory
    _LAST.append(FilmStore(paths, settings, progress))
    return _LAST[0]


def _rows(row_of: Mapping[str, int], paths: Sequence[str]) -> list[int]:
    missing = [path for path in paths if path not in row_of]
    if missing:
        raise DataError(f"{len(missing)} films were not loaded; the first is in {Path(missing[0]).parent}.")
    return [row_of[path] for path in paths]
