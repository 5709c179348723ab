"""The one path from file to pixel values: settings, resizing, normalising, and telling files apart by content."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from radlet.core.errors import ConfigError, DataError
from radlet.data import images
from radlet.data.dicom import MAX_PIXEL_ASPECT
from radlet.data.dicom_grey import MID_GREY, TAIL
from radlet.data.film import MAX_PIXELS, MAX_SIDE_RATIO
from radlet.data.images import (
    MAX_FILE_BYTES,
    ImageSettings,
    hf_image_processor_config,
    load_pixel_values,
    read_film,
    resize_film,
    to_pixel_values,
)

POLICIES = ("crop", "pad", "squash")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)


def test_content_counts_not_the_suffix(tmp_path):
    path = tmp_path / "film.dcm"
    Image.fromarray(picture(20, 30)).save(path, "PNG")
    film = read_film(path)
    assert np.array_equal(film.pixels, picture(20, 30))
    assert (film.view, film.laterality, film.modality, film.body_part) == (None, None, None, None)


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7 and more", b"GIF89a" + b"\0" * 200, b"BM" + b"\0" * 200])
def test_other_content_is_refused_without_naming_the_file(tmp_path, content):
    path = tmp_path / "PLANTED_NAME.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match="neither DICOM, PNG nor JPEG") as caught:
        read_film(path)
    assert "PLANTED" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "absent.png", tmp_path / "pipe"):
        with pytest.raises(DataError, match="no such file"):
            read_film(path)


def test_huge_files_are_refused_unread(tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + b"\0" * 200)
        file.truncate(2**34)
    with pytest.raises(DataError, match="larger than"):
        read_film(path)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(POLICIES), st.integers(8, 64))
def test_every_policy_gives_the_square_and_keeps_a_flat_film_flat(height, width, policy, size):
    square = resize_film(np.full((height, width), 77, np.uint8), ImageSettings(size_px=size, resize=policy))
    assert square.shape == (size, size)
    assert square.dtype == np.uint8
    assert square.flags.writeable
    assert set(np.unique(square)) <= ({0, 77} if policy == "pad" else {77})


@pytest.mark.parametrize("policy", POLICIES)
def test_a_film_of_the_right_size_is_left_alone(policy):
    film = picture(32, 32)
    assert np.array_equal(resize_film(film, ImageSettings(size_px=32, resize=policy)), film)


def test_crop_keeps_the_centre_of_the_long_side():
    film = np.zeros((32, 64), np.uint8)
    film[:, 16:48] = picture(32, 32)
    assert np.array_equal(resize_film(film, ImageSettings(size_px=32)), picture(32, 32))


def test_pad_keeps_the_whole_film_between_black_bars():
    square = resize_film(np.full((32, 64), 200, np.uint8), ImageSettings(size_px=32, resize="pad"))
    assert (square[:8] == 0).all()
    assert (square[8:24] == 200).all()
    assert (square[24:] == 0).all()


def test_squash_keeps_the_edges_of_the_long_side():
    film = np.repeat(np.arange(0, 64, dtype=np.uint8)[None] * 4, 32, axis=0)
    square = resize_film(film, ImageSettings(size_px=32, resize="squash"))
    assert square[0, 0] < 8
    assert square[0, -1] > 244


def test_older_checkpoints_keep_their_digest():
    """Pinned before the settings for resampling and the shortest edge were there."""
    assert ImageSettings().digest == "cb45921fa5513f63"
    assert ImageSettings(size_px=128, resize="squash").digest == "1e359c83c5624783"


def test_every_setting_tells_in_the_digest():
    others = [{}, {"resample": "bilinear"}, {"shortest_edge_px": 256}, {"size_px": 225}, {"resize": "squash"}]
    assert len({ImageSettings(**other).digest for other in others}) == len(others)


def test_a_longer_shortest_edge_shows_less_of_the_film():
    chosen = ImageSettings(size_px=32, shortest_edge_px=64)
    film = np.zeros((64, 128), np.uint8)
    film[16:48, 48:80] = picture(32, 32)
    assert np.array_equal(resize_film(film, chosen), picture(32, 32))
    assert images.shown_part(64, 128, chosen) == (0.375, 0.25, 0.625, 0.75)


@pytest.mark.parametrize("wrong", [{"resize": "squash", "shortest_edge_px": 256}, {"shortest_edge_px": 100}])
def test_a_shortest_edge_needs_a_crop_of_at_most_its_size(wrong):
    with pytest.raises(ValidationError, match="shortest_edge_px = "):
        ImageSettings(**wrong)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.floats(0, 1), st.floats(0.05, 1))
def test_pixel_values_undo_to_grey(grey, mean, std):
    chosen = ImageSettings(size_px=8, mean=(mean, 0.5, 0.0), std=(std, 0.5, 1.0))
    values = to_pixel_values(np.full((2, 8, 8), grey, np.uint8), chosen)
    assert values.shape == (2, 3, 8, 8)
    assert values.dtype == np.float32
    restored = values * np.array(chosen.std)[:, None, None] + np.array(chosen.mean)[:, None, None]
    assert np.allclose(restored * 255, grey, atol=1e-3)


def test_load_is_the_three_steps_in_a_row(tmp_path):
    path = tmp_path / "film"
    Image.fromarray(picture(50, 40)).save(path, "PNG")
    chosen = ImageSettings(size_px=16)
    steps = to_pixel_values(resize_film(read_film(path).pixels, chosen), chosen)
    assert np.array_equal(load_pixel_values(path, chosen), steps)
    assert steps.shape == (3, 16, 16)


def test_digest_follows_every_setting():
    variants = [
        ImageSettings(),
        ImageSettings(size_px=225),
        ImageSettings(resize="pad"),
        ImageSettings(mean=(0.5, 0.5, 0.5)),
        ImageSettings(std=(0.5, 0.5, 0.5)),
    ]
    assert len({variant.digest for variant in variants}) == len(variants)
    assert ImageSettings().digest == ImageSettings(size_px=224).digest


def test_digest_follows_the_version_of_the_path(monkeypatch):
    before = ImageSettings().digest
    monkeypatch.setattr(images, "PATH_VERSION", images.PATH_VERSION + 1)
    assert ImageSettings().digest != before


@pytest.mark.parametrize("wrong", [{"size_px": 0}, {"resize": "stretch"}, {"std": (0.0, 1.0, 1.0)}])
def test_settings_that_make_no_picture_are_refused(wrong):
    with pytest.raises(ValidationError):
        ImageSettings(**wrong)


def test_pad_has_no_processor_of_transformers():
    with pytest.raises(ConfigError, match="crop"):
        hf_image_processor_config(ImageSettings(resize="pad"))


@pytest.mark.parametrize(
    "setting",
    [
        {"resize": "crop"},
        {"resize": "squash"},
        {"resize": "crop", "shortest_edge_px": 56},
        {"resize": "crop", "resample": "bilinear"},
        {"resize": "squash", "resample": "bilinear"},
    ],
    ids=lambda setting: "-".join(map(str, setting.values())),
)
@pytest.mark.parametrize("shape", [(64, 64), (113, 174), (174, 113), (40, 30), (33, 131)])
def test_processor_of_transformers_gives_the_same_pixel_values(setting, shape):
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    chosen = ImageSettings(size_px=48, **setting)
    processor = CLIPImageProcessorPil(**hf_image_processor_config(chosen))
    film = picture(*shape)
    theirs = processor(Image.fromarray(film).convert("RGB"), return_tensors="np")["pixel_values"][0]
    ours = to_pixel_values(resize_film(film, chosen), chosen)
    assert np.abs(theirs - ours).max() < 1e-6


def test_limits_on_the_docs_page_are_those_of_the_code(repository):
    page = (repository / "docs" / "images.md").read_text(encoding="utf-8")
    for figure in (
        f"{MAX_PIXELS / 1e6:.0f} million pixels",
        f"{MAX_SIDE_RATIO:g} times",
        f"{MAX_FILE_BYTES // 2**20} MiB",
        f"{MAX_PIXEL_ASPECT:g} : 1",
        f"{TAIL:.1%}".replace("%", " %"),
        f"grey {MID_GREY}",
    ):
        assert figure in page
