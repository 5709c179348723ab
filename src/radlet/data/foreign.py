"""What a file is that is no film, told by its first bytes, so that a refusal can say so and what to do instead.

Called by `radlet.data.images`. Nothing of such a file is decoded.
"""

_STARTS = (
    (b"%PDF-", "a PDF document"),
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 file outside of DICOM"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 file outside of DICOM"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a ZIP archive (or an Office document)"),
    (b"\x1f\x8b", "a gzip archive (or compressed NIfTI)"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"NRRD", "an NRRD volume"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"{\\rtf", "a text document"),
)
_MARKUP = (
    (b"<?xml", "an XML or SVG document"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)
_BRANDS = {
    b"heic": "a HEIC photograph",
    b"heix": "a HEIC photograph",
    b"mif1": "a HEIF photograph",
    b"msf1": "a HEIF photograph",
    b"avif": "an AVIF picture",
}
"""Brands of the ISO base media format (ISO 14496-12 4.3); the others are films of the moving kind."""
_NIFTI_SIZES = (b"\x5c\x01\0\0", b"\0\0\x01\x5c")


def name_foreign(head: bytes) -> str | None:
    """Name the kind of a file that is neither DICOM, PNG nor JPEG; None when it is not known.

    Args:
        head: Its first bytes, 132 or fewer.
    """
    if not head.strip(b"\0"):
        return "a file of zeros" if head else "an empty file"
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    for start, name in _MARKUP:
        if head.lower().startswith(start):
            return name
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "a Windows bitmap"
    if head[:4] == b"RIFF":
        return "a WebP picture" if head[8:12] == b"WEBP" else "a recording"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a video")
    if head[:4] in _NIFTI_SIZES:
        return "a NIfTI volume"
    return "text" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    # A character may be cut in two where the head ends.
    try:
        words = head[: max(len(head) - 3, 1)].decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter.isspace() for letter in words)
