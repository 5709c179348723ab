from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from radlet.core.console import Progress
from radlet.retrieval.familiarity import NEIGHBOURS, Familiarity


class Eye:
    """Sees of a film its mean and its spread, as an angle."""

    def __init__(self) -> None:
        self.seen = 0

    def features(self, films: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.seen += len(films)
        angles = np.array([film.mean() / 255 * np.pi / 2 for film in films])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def collection(folder: Path, count: int) -> list[tuple[str, str, Path]]:
    films = []
    for number in range(count):
        grey = np.random.default_rng(number).integers(90, 110)
        Image.fromarray(np.full((20, 20), grey, np.uint8)).save(folder / f"{number}.png")
        films.append((f"e{number}", f"p{number // 2}", folder / f"{number}.png"))
    return films


def known_of(folder: Path, count: int = 40) -> Familiarity:
    known = Familiarity.of(Eye(), collection(folder, count), folder / "kept", Progress(quiet=True))  # type: ignore[arg-type]
    assert known is not None
    return known


def test_a_film_like_the_others_is_usual_and_another_is_not(tmp_path: Path) -> None:
    known = known_of(tmp_path)
    assert known.share_as_far(np.full((20, 20), 100, np.uint8)) > 0.2
    assert known.share_as_far(np.full((20, 20), 240, np.uint8)) == pytest.approx(1 / 41)


def test_films_of_the_same_patient_do_not_make_each_other_usual() -> None:
    eye = Eye()
    near = [np.full((4, 4), grey, np.uint8) for grey in (100, 100, 101, 101, 102, 102, 103, 103, 104, 104, 105, 105)]
    alone = [np.full((4, 4), 250, np.uint8)] * 6
    features = eye.features([*near, *alone])
    patients = [*(str(number // 2) for number in range(12)), *["one"] * 6]
    known = Familiarity(eye, features, patients)  # type: ignore[arg-type]
    # Six films of one patient lie together and far from all others; as of six patients they would be usual.
    far = np.full((4, 4), 170, np.uint8)
    assert known.share_as_far(far) >= 7 / 19
    assert Familiarity(eye, features, [str(n) for n in range(18)]).share_as_far(far) == pytest.approx(1 / 19)  # type: ignore[arg-type]


def test_the_films_are_looked_at_once(tmp_path: Path) -> None:
    eye, films = Eye(), collection(tmp_path, 20)
    for _ in range(2):
        Familiarity.of(eye, films, tmp_path / "kept", Progress(quiet=True))  # type: ignore[arg-type]
    assert eye.seen == 20
    (tmp_path / "kept" / "ids.json").write_text("{")
    Familiarity.of(eye, films, tmp_path / "kept", Progress(quiet=True))  # type: ignore[arg-type]
    assert eye.seen == 40


def test_too_few_patients_say_nothing(tmp_path: Path) -> None:
    films = collection(tmp_path, 2 * NEIGHBOURS)
    assert Familiarity.of(Eye(), films, tmp_path / "kept", Progress(quiet=True)) is None  # type: ignore[arg-type]
