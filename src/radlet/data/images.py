"""The one path from a file to `pixel_values`, used by training and by serving alike.

`read_film` turns DICOM, PNG or JPEG into display grey; `resize_film` makes it square; `to_pixel_values` normalises.
The settings of the last two are hashed into every checkpoint (`ImageSettings.digest`) and checked when it is loaded.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, ValidationError, model_validator

from radlet.core.config import Config, resolved_json
from radlet.core.errors import CheckpointError, ConfigError, DataError
from radlet.data.dicom import looks_like_dicom, read_deep_dicom, read_dicom
from radlet.data.film import DeepFilm, Film
from radlet.data.foreign import name_foreign
from radlet.data.raster import looks_like_raster, read_deep_raster, read_raster

__all__ = [
    "Film",
    "FilmChange",
    "ImageSettings",
    "hf_image_processor_config",
    "load_pixel_values",
    "read_deep_film",
    "read_film",
    "read_film_bytes",
    "read_run_film",
    "resize_film",
    "shown_part",
    "to_pixel_values",
]

PATH_VERSION = 1
"""Raised whenever the same file and settings would give other pixel values; part of every digest."""

MAX_FILE_BYTES = 512 * 1024 * 1024
_HEAD_BYTES = 132
_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_LATER = {"resample": "bicubic", "shortest_edge_px": None}
"""Settings that checkpoints of earlier versions do not have, and what they did."""

Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
FilmChange = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""From a film in display grey (H, W) to what is shown in its place."""


class ImageSettings(Config):
    """How a film becomes the square input of an encoder."""

    size_px: int = Field(default=224, ge=8, le=4096)
    """Side of the square the encoder sees."""
    resize: Literal["crop", "pad", "squash"] = "crop"
    """crop: shortest edge to size, then the centre (LLaVA-Rad's); pad: whole film on black; squash: aspect not kept."""
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    """How pixels are interpolated; SigLIP 2, Gemma 3 and the first ViT were trained on bilinear ones."""
    shortest_edge_px: int | None = Field(default=None, ge=8, le=4096)
    """With crop: the shortest edge is brought to this before the centre of `size_px` is cut, as DINOv2 does (256, then
    224); not given: to `size_px` itself."""
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    """Mean of the three channels, in units of 0..1; the default is CLIP's."""
    std: tuple[Positive, Positive, Positive] = (0.26862954, 0.26130258, 0.27577711)
    """Standard deviation of the three channels, in units of 0..1; the default is CLIP's."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        edge = self.shortest_edge_px
        if edge is not None and (self.resize != "crop" or edge < self.size_px):
            raise ValueError(
                f"shortest_edge_px = {edge} does not go with resize = '{self.resize}' and size_px = {self.size_px}: it "
                "needs resize = 'crop' and at least size_px, or leave it out"
            )
        return self

    @property
    def digest(self) -> str:
        """Return a hash of every setting and of the version of the code path.

        The settings that came later are left out where they are as they always were, so that older checkpoints keep
        their digest.
        """
        settings = json.loads(resolved_json(self))
        kept = {name: value for name, value in settings.items() if _LATER.get(name, ...) != value}
        text = json.dumps(kept, indent=2, sort_keys=True) + "\n"
        return hashlib.sha256(f"{PATH_VERSION}\n{text}".encode()).hexdigest()[:16]


def read_film(path: Path) -> Film:
    """Read a DICOM, PNG or JPEG file, told apart by content, as display grey.

    Raises:
        DataError: The file cannot be read, is none of the three, or is damaged. The message does not quote the path,
            which may hold a name.
        DicomError: It is a DICOM object that cannot be turned into a film.
    """
    with _opened(path) as (file, num_bytes):
        return _read_open(file, num_bytes)


def read_deep_film(path: Path) -> DeepFilm:
    """Read a file as `read_film` does, in all the greys that it has: for people, who set the window.

    Raises:
        DataError: As `read_film`.
        DicomError: As `read_film`.
    """
    with _opened(path) as (file, num_bytes):
        if _is_raster(file, num_bytes):
            return read_deep_raster(file.read())
        return read_deep_dicom(file)


def read_film_bytes(content: bytes) -> Film:
    """Read the bytes of a DICOM, PNG or JPEG file as `read_film` does.

    Raises:
        DataError: They are none of the three, or damaged.
        DicomError: They are a DICOM object that cannot be turned into a film.
    """
    return _read_open(BytesIO(content), len(content))


def resize_film(pixels: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.uint8]:
    """Make a film (H, W) square, (S, S), under the policy of the settings."""
    image = Image.fromarray(pixels)
    if settings.resize == "crop":
        return _crop(image, settings)
    if settings.resize == "pad":
        return _pad(image, settings)
    return np.array(image.resize((settings.size_px, settings.size_px), _RESAMPLING[settings.resample]))


def shown_part(height_px: int, width_px: int, settings: ImageSettings) -> tuple[float, float, float, float]:
    """Return which part of a film the encoder's square shows, to a pixel: x_min, y_min, x_max, y_max of the film, 0..1.

    Beyond 0..1 lies the black that `pad` adds.
    """
    if settings.resize == "squash":
        return 0.0, 0.0, 1.0, 1.0
    if settings.resize == "crop":
        side = min(height_px, width_px) * settings.size_px / (settings.shortest_edge_px or settings.size_px)
    else:
        side = max(height_px, width_px)
    x, y = side / width_px / 2, side / height_px / 2
    return 0.5 - x, 0.5 - y, 0.5 + x, 0.5 + y


def to_pixel_values(resized: NDArray[np.uint8], settings: ImageSettings) -> NDArray[np.float32]:
    """Repeat grey (..., S, S) over three channels and normalise each: (..., 3, S, S)."""
    table = _normalisation_table(settings.mean, settings.std)
    return np.stack([np.take(channel, resized) for channel in table], axis=-3)


def load_pixel_values(path: Path, settings: ImageSettings, change: FilmChange | None = None) -> NDArray[np.float32]:
    """Read, resize and normalise one film: (3, S, S).

    Args:
        path: The film.
        settings: How it becomes the encoder's input.
        change: Made in memory to the film as it was read, before anything else.

    Raises:
        DataError: As `read_film`.
    """
    pixels = read_film(path).pixels
    if change is not None:
        pixels = change(pixels)
    return to_pixel_values(resize_film(pixels, settings), settings)


def read_run_film(path: Path) -> NDArray[np.uint8]:
    """Return the pixels of a film that a run holds, or that the user named: an error may tell its path.

    Raises:
        DataError: As `read_film`, with the path before the reason.
    """
    try:
        return read_film(path).pixels
    except DataError as error:
        raise type(error)(f"{path}: {error}") from None


def checkpoint_image_settings(image: dict[str, Any], digest: str) -> ImageSettings:
    """Return the image settings that a checkpoint was trained with.

    Args:
        image: The settings as the checkpoint's card holds them.
        digest: Their digest at the time of training.

    Raises:
        CheckpointError: They cannot be read, or this version of the image path would prepare films differently.
    """
    try:
        settings = ImageSettings.model_validate(image)
    except ValidationError:
        raise CheckpointError("The checkpoint's image settings cannot be read. Restore its radlet.json.") from None
    if settings.digest != digest:
        raise CheckpointError(
            f"The model was trained with image path {digest}, but this version of radlet prepares films as "
            f"{settings.digest}. Use the version named in radlet.json, or train again."
        )
    return settings


def hf_image_processor_config(settings: ImageSettings) -> dict[str, Any]:
    """Return arguments for transformers' CLIP image processor that give the same pixel values on 8-bit grey films.

    Raises:
        ConfigError: The policy is pad, which that processor does not have.
    """
    if settings.resize == "pad":
        raise ConfigError("resize = 'pad' has no equal in the CLIP image processor. Use 'crop' or 'squash'.")
    square = {"height": settings.size_px, "width": settings.size_px}
    crop = settings.resize == "crop"
    return {
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": settings.shortest_edge_px or settings.size_px} if crop else square,
        "resample": int(_RESAMPLING[settings.resample]),
        "do_center_crop": crop,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(settings.mean),
        "image_std": list(settings.std),
    }


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file that should be a film; yields it and its size in bytes."""
    try:
        if not path.is_file():
            raise DataError("There is no such file. Give the path of a DICOM, PNG or JPEG file.")
        with path.open("rb") as file:
            yield file, path.stat().st_size
    except OSError as error:
        raise DataError(f"The file cannot be read ({type(error).__name__}). Check that it exists.") from None


def _read_open(file: BinaryIO, num_bytes: int) -> Film:
    if _is_raster(file, num_bytes):
        return Film(read_raster(file.read()))
    return read_dicom(file)


def _is_raster(file: BinaryIO, num_bytes: int) -> bool:
    """Say whether an open file is PNG or JPEG, and not DICOM, by a look at its head; refuse what is neither."""
    head = file.read(_HEAD_BYTES)
    if not (looks_like_raster(head) or looks_like_dicom(head)):
        named = name_foreign(head)
        is_that = f"; it is {named}" if named else ""
        raise DataError(f"The content is neither DICOM, PNG nor JPEG{is_that}. Give the film as one of the three.")
    if num_bytes > MAX_FILE_BYTES:
        raise DataError(f"The file is larger than {MAX_FILE_BYTES} bytes, which no film is.")
    file.seek(0)
    return looks_like_raster(head)


def _crop(image: Image.Image, settings: ImageSettings) -> NDArray[np.uint8]:
    width, height = image.size
    size, short = settings.size_px, settings.shortest_edge_px or settings.size_px
    # The long side is truncated, and the crop rounds down, as transformers does; both show in the pixels.
    long = int(short * max(width, height) / min(width, height))
    shape = (short, long) if width <= height else (long, short)
    resized = np.array(image.resize(shape, _RESAMPLING[settings.resample]))
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    return resized[top : top + size, left : left + size]


def _pad(image: Image.Image, settings: ImageSettings) -> NDArray[np.uint8]:
    size = settings.size_px
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = np.zeros((size, size), np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    resized = image.resize((width, height), _RESAMPLING[settings.resample])
    square[top : top + height, left : left + width] = np.asarray(resized)
    return square


@lru_cache(maxsize=8)
def _normalisation_table(mean: Triple, std: Triple) -> NDArray[np.float32]:
    """Return the normalised value of each grey in each channel, (3, 256)."""
    grey = np.arange(256) / 255
    table = (grey - np.array(mean)[:, None]) / np.array(std)[:, None]
    return np.asarray(table, np.float32)
