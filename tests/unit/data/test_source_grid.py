import numpy as np
import pytest
from pydicom import Dataset

from radlet.core.errors import DicomError
from radlet.data.source_grid import facing, source_grid


@pytest.mark.parametrize("row", ["L", "R", "H", "F"])
@pytest.mark.parametrize("column", ["L", "R", "H", "F"])
def test_a_point_of_the_upright_film_is_found_in_the_source(row: str, column: str) -> None:
    header = Dataset()
    header.Rows, header.Columns, header.BodyPartExamined, header.ViewPosition = 8, 12, "CHEST", "PA"
    header.PatientOrientation = [row, column]
    stored = np.arange(96, dtype=np.uint8).reshape(8, 12)
    film = facing(header, "PA").turn(stored)
    height, width = film.shape
    for y, x in np.ndindex(film.shape):
        point = np.array([[(x + 0.5) / width, (y + 0.5) / height]])
        (source_x, source_y) = source_grid(header).from_film(point)[0]
        assert stored[int(source_y), int(source_x)] == film[y, x]


def test_an_object_without_a_size_has_no_grid() -> None:
    with pytest.raises(DicomError, match="rows and columns"):
        source_grid(Dataset())
