"""Guard against deflated DICOM objects that unpack to far more than a film: the parser would unpack them whole."""

import zlib
from typing import BinaryIO

from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian

from radlet.core.errors import DicomError

MAX_UNPACKED = 256 * 1024 * 1024
"""Bytes that an object may unpack to; the largest film that is read has 128 MiB."""
_PIECE = 64 * 1024
_AT_ONCE = 1024 * 1024


def refuse_bombs(file: BinaryIO) -> None:
    """Refuse an open file in Deflated Explicit VR Little Endian (PS3.5 A.5) that unpacks to too much; then rewind it.

    Raises:
        DicomError: It does.
    """
    file.seek(0)
    read_preamble(file, force=True)
    # Of pydicom's own reading, the part before it unpacks the rest.
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        _check_unpacked(file)
    file.seek(0)


def _check_unpacked(file: BinaryIO) -> None:
    unpacking, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not unpacking.eof:
        piece = unpacking.unconsumed_tail or file.read(_PIECE)
        if not piece:
            return
        size += len(unpacking.decompress(piece, _AT_ONCE))
        if size > MAX_UNPACKED:
            raise DicomError(
                f"The deflated object unpacks to more than {MAX_UNPACKED // 2**20} MiB, which no film does: it is a "
                "decompression bomb, or not a film."
            )
