import numpy as np
import pytest
from pydicom.dataset import Dataset

from radlet.core.errors import DicomError
from radlet.data.source_grid import Facing, SourceGrid, source_grid

FACINGS = [Facing(t, u, m) for t in (False, True) for u in (False, True) for m in (False, True)]


@pytest.mark.parametrize("facing", FACINGS)
def test_points_of_the_upright_film_come_back_to_their_pixel(facing: Facing) -> None:
    rows, columns = 5, 8
    stored = np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns)
    film = facing.turn(stored)
    grid = SourceGrid(rows, columns, facing)
    for row in range(film.shape[0]):
        for column in range(film.shape[1]):
            centre = np.array([[(column + 0.5) / film.shape[1], (row + 0.5) / film.shape[0]]])
            x, y = grid.from_film(centre)[0]
            assert stored[int(y), int(x)] == film[row, column]


def test_a_header_without_a_size_is_refused() -> None:
    with pytest.raises(DicomError, match="rows and columns"):
        source_grid(Dataset())
