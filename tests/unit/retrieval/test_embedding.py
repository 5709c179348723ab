from pathlib import Path

import numpy as np
import pytest
from tests.fixtures.tiny import REPORTS, SETTINGS, make_card, make_pair

from radlet.core.errors import CheckpointError, DataError
from radlet.data.images import ImageSettings
from radlet.models.report_model import CARD
from radlet.retrieval.embedding import Embedder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A run directory that holds an image-text checkpoint with random weights."""
    model, tokenizer = make_pair()
    folder = tmp_path / "run" / "checkpoint"
    model.save(folder, tokenizer)
    (folder / CARD).write_text(make_card("image_text").model_dump_json())
    return folder.parent


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


def test_films_and_reports_become_unit_rows_of_one_space(checkpoint: Path, tiny_films: list[Path]) -> None:
    embedder = Embedder.load(checkpoint)
    images, texts = embedder.embed_images(tiny_films), embedder.embed_texts(REPORTS)
    assert images.shape == (len(tiny_films), 8)
    assert texts.shape == (len(REPORTS), 8)
    assert images.dtype == texts.dtype == np.float32
    assert lengths(images) == pytest.approx(1.0, abs=1e-5)
    assert lengths(texts) == pytest.approx(1.0, abs=1e-5)
    assert len(np.unique(images.round(5), axis=0)) == len(tiny_films)
    assert len(np.unique(texts.round(5), axis=0)) == len(REPORTS)


def test_batches_do_not_change_the_rows(checkpoint: Path, tiny_films: list[Path]) -> None:
    embedder = Embedder.load(checkpoint)
    assert embedder.embed_images(tiny_films, batch_size=3) == pytest.approx(embedder.embed_images(tiny_films), abs=1e-5)
    assert embedder.embed_texts(REPORTS, batch_size=1) == pytest.approx(embedder.embed_texts(REPORTS), abs=1e-5)


def test_labels_come_as_probabilities(checkpoint: Path, tiny_films: list[Path]) -> None:
    embedder = Embedder.load(checkpoint)
    probabilities = embedder.label_probabilities(tiny_films)
    assert probabilities.shape == (len(tiny_films), len(embedder.card.label_names))
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_nothing_asked_is_nothing_answered(checkpoint: Path) -> None:
    embedder = Embedder.load(checkpoint)
    assert embedder.embed_images([]).shape == (0, 8)
    assert embedder.embed_texts([]).shape == (0, 8)
    assert embedder.label_probabilities([]).shape == (0, 2)


def test_the_run_and_its_checkpoint_are_the_same(checkpoint: Path, tiny_films: list[Path]) -> None:
    inner = Embedder.load(checkpoint / "checkpoint")
    assert np.array_equal(inner.embed_images(tiny_films), Embedder.load(checkpoint).embed_images(tiny_films))


def test_what_was_saved_embeds_as_before(checkpoint: Path, tiny_films: list[Path]) -> None:
    model, tokenizer = make_pair()
    before = Embedder(model.eval(), tokenizer, make_card("image_text"))
    again = Embedder.load(checkpoint)
    assert again.embed_images(tiny_films) == pytest.approx(before.embed_images(tiny_films), abs=1e-5)
    assert again.embed_texts(REPORTS) == pytest.approx(before.embed_texts(REPORTS), abs=1e-5)


def test_another_image_path_is_refused(checkpoint: Path) -> None:
    card = checkpoint / "checkpoint" / CARD
    card.write_text(card.read_text().replace(SETTINGS.digest, ImageSettings(size_px=64).digest))
    with pytest.raises(CheckpointError, match="image path"):
        Embedder.load(checkpoint)


def test_heads_of_other_labels_are_refused(checkpoint: Path) -> None:
    card = checkpoint / "checkpoint" / CARD
    card.write_text(make_card("image_text").model_copy(update={"label_names": ("Edema",)}).model_dump_json())
    with pytest.raises(CheckpointError, match="heads do not fit"):
        Embedder.load(checkpoint)


def test_a_film_that_cannot_be_read_is_said(checkpoint: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no film")
    with pytest.raises(DataError, match=r"broken\.png: The content"):
        Embedder.load(checkpoint).embed_images([broken])
