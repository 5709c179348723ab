import zlib
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian
from tests.fixtures.dicom_files import write_film

from radlet.core.errors import DicomError
from radlet.data import deflated
from radlet.data.images import read_film, read_film_bytes


def deflate(film: Path) -> bytes:
    header = dcmread(film)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(film, enforce_file_format=True)
    return film.read_bytes()


def test_a_deflated_film_is_read_like_the_same_film_undeflated(tmp_path: Path) -> None:
    plain = read_film(write_film(tmp_path / "a.dcm", 1))
    assert (read_film_bytes(deflate(tmp_path / "a.dcm")).pixels == plain.pixels).all()


def test_an_object_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = deflate(write_film(tmp_path / "a.dcm", 1))
    meta_end = 144 + dcmread(tmp_path / "a.dcm").file_meta.FileMetaInformationGroupLength
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeeze.compress(bytes(4 * 2**20)) + squeeze.flush()
    monkeypatch.setattr(deflated, "MAX_UNPACKED", 3 * 2**20)
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(DicomError, match="decompression bomb"):
        read_film_bytes(whole[:meta_end] + bomb)
