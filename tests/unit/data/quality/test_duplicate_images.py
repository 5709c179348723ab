import io

import numpy as np
import pytest
from PIL import Image

from radlet.core.records import ImageRecord, Study
from radlet.data.quality.base import MeasuredFilm
from radlet.data.quality.duplicate_images import DuplicateImages
from radlet.data.quality.likeness import describe, mirrored, read_descriptor
from radlet.data.quality.reduced import reduce_film
from radlet.data.sources.synthetic import SyntheticSource


@pytest.fixture(scope="module")
def films():
    source = SyntheticSource(num_patients=24, size_px=192, lateral_share=0.0, max_studies_per_patient=1)
    return [film for study in source.studies(2) for film in study.pixels.values()]


def described(film):
    return describe(reduce_film(ImageRecord(image_id="", path=""), np.ascontiguousarray(film)).grey)


def measured(name, film):
    descriptor, fine = described(film)
    return MeasuredFilm(image_id=name, descriptor=descriptor, fine=fine)


def find(tmp_path, entries, **settings):
    """`entries`: (image id, film, patient, split)."""
    finder = DuplicateImages(**settings).finder(tmp_path)
    for name, film, patient, split in entries:
        study = Study(study_id=f"s-{name}", patient_id=patient, images=(), split=split)
        finder.add(study, [measured(name, film)])
    return finder.find()


def jpeg(film):
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=35)
    return np.asarray(Image.open(buffer))


COPIES = {
    "encoded": jpeg,
    "resized": lambda film: np.asarray(Image.fromarray(film).resize((96, 96), Image.Resampling.LANCZOS)),
    "curve": lambda film: (255 * (film / 255) ** 0.6).astype(np.uint8),
    "brighter": lambda film: np.clip(film.astype(int) + 20, 0, 255).astype(np.uint8),
    "moved": lambda film: np.roll(film, 1, (0, 1)),
    "cut": lambda film: film[4:-4, 4:-4],
    "mirrored": lambda film: film[:, ::-1],
}


@pytest.mark.parametrize("kind", sorted(COPIES))
def test_a_changed_copy_is_found_among_other_films_and_nothing_else_is(tmp_path, films, kind):
    entries = [(f"i{number}", film, f"p{number}", None) for number, film in enumerate(films)]
    [group] = find(tmp_path, [*entries, ("copy", COPIES[kind](films[3]), "p99", None)])
    assert set(group.similarity) == {"i3", "copy"}
    assert (group.kept, group.scope, list(group.surplus)) == ("i3", "several patients", ["copy"])


def test_many_equal_films_are_one_group_however_few_neighbours_are_looked_at(tmp_path, films):
    entries = [(f"i{number}", films[0], "p", None) for number in range(30)]
    [group] = find(tmp_path, [*entries, ("other", films[1], "p", None)], neighbours=1)
    assert set(group.similarity) == {f"i{number}" for number in range(30)}
    assert group.scope == "one patient"


def test_the_copy_in_train_goes_and_the_one_in_test_stays(tmp_path, films):
    [group] = find(tmp_path, [("a", films[0], "p", "train"), ("b", films[0], "q", "test"), ("c", films[1], "q", "dev")])
    assert (group.kept, list(group.surplus), group.scope) == ("b", ["a"], "several splits")


def test_flat_films_are_no_copies_of_one_another(tmp_path):
    flat = np.full((64, 64), 9, np.uint8)
    assert described(flat) == ("", "")
    assert find(tmp_path, [("a", flat, "p", None), ("b", flat + 3, "q", None)]) == []


def test_mirroring_a_descriptor_is_mirroring_the_film(films):
    for film in films[:4]:
        turned = mirrored(read_descriptor(described(film)[0]))
        np.testing.assert_allclose(turned, read_descriptor(described(film[:, ::-1])[0]), atol=0.02)
