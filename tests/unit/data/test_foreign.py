import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radlet.core.errors import DataError
from radlet.data.foreign import name_foreign
from radlet.data.images import read_film_bytes

GREY = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))


def saved(kind: str, image: Image.Image = GREY, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "an empty file"),
        (b"\0" * 400, "a file of zeros"),
        (b"Findings: the heart is not enlarged.\n" * 9, "text"),
        (b"BMI 31, known COPD.\n" * 20, "text"),
        ("Befund: Größe\n".encode() * 30, "text"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC photograph"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"PK\x03\x04" + b"\0" * 40, "a ZIP archive"),
        (b"\x5c\x01\0\0" + b"\0" * 340, "a NIfTI volume"),
        (b"<!doctype html><title>x</title>", "a web page"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a recording"),
    ],
)
def test_what_is_no_film_is_named(content: bytes, named: str) -> None:
    with pytest.raises(DataError, match=f"neither DICOM, PNG nor JPEG; it is {named}"):
        read_film_bytes(content)


@pytest.mark.parametrize(
    ("kind", "named"), [("GIF", "a GIF"), ("TIFF", "a TIFF"), ("BMP", "a Windows bitmap"), ("WEBP", "a WebP picture")]
)
def test_pictures_of_other_kinds_are_named(kind: str, named: str) -> None:
    with pytest.raises(DataError, match=named):
        read_film_bytes(saved(kind))


def test_what_is_not_known_is_not_named() -> None:
    assert name_foreign(bytes(range(128, 250))) is None
    with pytest.raises(DataError, match=r"neither DICOM, PNG nor JPEG\. Give"):
        read_film_bytes(bytes(range(128, 250)))


def test_an_animated_png_is_no_film() -> None:
    other = Image.fromarray(255 - np.asarray(GREY))
    with pytest.raises(DataError, match="animated"):
        read_film_bytes(saved("PNG", save_all=True, append_images=[other]))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_half_a_picture_is_told_as_damaged(kind: str) -> None:
    content = saved(kind)
    with pytest.raises(DataError, match="truncated or damaged"):
        read_film_bytes(content[: len(content) // 2])


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    side = (50_000).to_bytes(4, "big")
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + b"\x08\0\0\0\0") + chunk(b"IDAT", zlib.compress(b""))
    with pytest.raises(DataError, match="bomb"):
        read_film_bytes(bomb)


def test_sixteen_bits_and_palettes_are_films(tmp_path: Path) -> None:
    deep = Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40)
    assert np.array_equal(read_film_bytes(saved("PNG", deep)).pixels, np.rint(np.asarray(deep) / 257).astype(np.uint8))
    indexed = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("P")
    assert np.array_equal(read_film_bytes(saved("PNG", indexed)).pixels, np.arange(256).reshape(16, 16))
