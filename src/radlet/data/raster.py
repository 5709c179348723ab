"""Read PNG and JPEG films of 8 to 16 bits. Called by `radlet.data.images`."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from radlet.core.errors import DataError
from radlet.data.film import DeepFilm, check_size
from radlet.data.quiet import quiet_libraries
from radlet.data.refusal import refusing

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_SIGNATURE = b"\xff\xd8\xff"
_END_OF_IMAGE = b"\xff\xd9"
_MAX_TAIL_BYTES = 64


def looks_like_raster(head: bytes) -> bool:
    """Say whether a file's first bytes are those of a PNG or a JPEG."""
    return head.startswith((PNG_SIGNATURE, JPEG_SIGNATURE))


def read_raster(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of a PNG or JPEG into display grey (H, W).

    Sixteen-bit values are scaled by their full range (65535 becomes 255), colour is reduced by ITU-R BT.601,
    transparent parts become black, and the EXIF orientation is applied.

    Raises:
        DataError: The file is truncated or damaged, is animated, or its size is not that of a film.
    """
    values, top = _read_values(data)
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    table = np.rint(np.minimum(np.arange(65536) * (255 / top), 255)).astype(np.uint8)
    return np.asarray(table[values])


def read_deep_raster(data: bytes) -> DeepFilm:
    """Decode the bytes of a PNG or JPEG in all the greys that it has, else as `read_raster`.

    Raises:
        DataError: As `read_raster`.
    """
    values, top = _read_values(data)
    return DeepFilm(values, high=np.iinfo(values.dtype).max / top)


def _read_values(data: bytes) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    """Return grey values as they are stored, and the one that is white."""
    with quiet_libraries(), refusing("The image file is truncated or damaged; fetch it again", DataError):
        try:
            image = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
        except UnidentifiedImageError:
            if not data.startswith(JPEG_SIGNATURE):
                raise
            return _read_deep_jpeg(data)
        except Image.DecompressionBombError:
            raise DataError("The image is a decompression bomb: it unpacks to far more pixels than a film.") from None
        check_size(image.height, image.width)
        if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
            raise DataError("The PNG is animated. Give single films, one file each.")
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):
            return np.asarray(upright).astype(np.uint16), 65535
        return _to_grey(upright), 255


def _to_grey(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        image = _on_black(image.convert("RGBA"))
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def _on_black(image: Image.Image) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")


def _read_deep_jpeg(data: bytes) -> tuple[NDArray[np.uint16], int]:
    """Decode JPEG forms that PIL lacks: more than 8 bits, lossless, JPEG-LS."""
    if _END_OF_IMAGE not in data[-_MAX_TAIL_BYTES:]:
        raise DataError("The JPEG file is truncated: it has no end-of-image marker. Fetch it again.")
    try:
        # GPL-3.0, so it is the user's to install, not a part of radlet.
        from libjpeg import utils as libjpeg  # noqa: PLC0415
    except ModuleNotFoundError:
        raise DataError(
            "The JPEG is lossless or deeper than 8 bits, and no decoder for it is installed: "
            'pip install "radlet[libjpeg]", or convert the file to PNG.'
        ) from None
    form = libjpeg.get_parameters(data)
    check_size(form["rows"], form["columns"])
    values = libjpeg.decode(data)
    if values.ndim != 2:
        raise DataError("The JPEG holds colour in a form that is not read. Convert it to grey or to 8 bits first.")
    return values.astype(np.uint16), 2 ** form["precision"] - 1
