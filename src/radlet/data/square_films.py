"""What an imported vision-language model is shown: what its own preprocessor gives, or else a fixed square.

Some models take films of any shape, cut to their own measure. Here every film of a checkpoint has one size, so for
these the square is chosen once, at the import, and kept.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from radlet.core.errors import CheckpointError, ConfigError
from radlet.data.images import ImageSettings
from radlet.data.preprocessors import PREPROCESSOR_FILES, settings_of_preprocessor

DEFAULT_TOKENS_ALONG_SIDE = 16
"""Of a film, where the model takes any number: 256 tokens in all."""

_BICUBIC = 3
"""The number that Pillow and preprocessors have for it; where none is written, it is meant."""
_SEVERAL_CROPS = ("do_pan_and_scan", "do_image_splitting", "image_grid_pinpoints")
"""Options of preprocessors that show a film in several pieces."""


@dataclass(frozen=True)
class SquareChoice:
    """What the user asks of the films.

    Attributes:
        size_px: Side of the square, for models that take films of any shape; None: 16 tokens along the side.
        resize: How films become square; None: as the preprocessor does, or, where it does not make squares, `pad`.
    """

    size_px: int | None = None
    resize: Literal["crop", "pad", "squash"] | None = None


def fixed_settings(folder: Path, size_px: int, choice: SquareChoice) -> ImageSettings:
    """Return the image settings of a model whose encoder takes squares of one size.

    Args:
        folder: Holds the preprocessor's file.
        size_px: What the encoder takes.
        choice: Of the user; another size than the encoder's is refused.

    Raises:
        CheckpointError: There is no preprocessor, or one that cannot be repeated, or it does not fit the encoder.
        ConfigError: The choice does not fit.
    """
    options = _one_piece(folder)
    if choice.resize is not None:  # padding is what the choice stands in for
        options.pop("do_pad", None)
    settings = _settings(folder, options)
    if settings.size_px != size_px:
        raise CheckpointError(
            f"{folder}: the preprocessor gives films of {settings.size_px} px and the encoder takes {size_px}. Give "
            "files that belong together."
        )
    if choice.size_px not in (None, size_px):
        raise ConfigError(f"--size-px {choice.size_px}: this encoder takes films of {size_px} px. Leave it out.")
    if choice.resize is None or choice.resize == settings.resize:
        return settings
    return ImageSettings.model_validate(settings.model_dump() | {"resize": choice.resize, "shortest_edge_px": None})


def dynamic_settings(folder: Path, stride_px: int, choice: SquareChoice) -> ImageSettings:
    """Return the image settings of a model that takes films of any shape: one square for all of them.

    Args:
        folder: Holds the preprocessor's file.
        stride_px: Pixels to a token, along a side.
        choice: Of the user.

    Raises:
        CheckpointError: There is no preprocessor, or one that cannot be repeated.
        ConfigError: The size does not fit the model.
    """
    options = _one_piece(folder)
    size_px = choice.size_px or stride_px * DEFAULT_TOKENS_ALONG_SIDE
    low, high = _pixels_allowed(options)
    if choice.size_px is None:
        size_px = min(size_px, math.isqrt(high) // stride_px * stride_px)
    if size_px % stride_px or not low <= size_px**2 <= high:
        raise ConfigError(
            f"--size-px {size_px}: must be a multiple of {stride_px} from {math.isqrt(max(low - 1, 0)) + 1} to "
            f"{math.isqrt(high)}, which is what this model was made for."
        )
    square = {"size": {"height": size_px, "width": size_px}, "do_center_crop": False}
    settings = _settings(folder, {"resample": _BICUBIC, **options, **square})
    return ImageSettings.model_validate(settings.model_dump() | {"resize": choice.resize or "pad"})


def _pixels_allowed(options: dict[str, Any]) -> tuple[int, int]:
    size = options.get("size") or {}
    low = options.get("min_pixels") or size.get("shortest_edge") or size.get("min_pixels") or 1
    high = options.get("max_pixels") or size.get("longest_edge") or size.get("max_pixels") or 4096**2
    return int(low), int(high)


def _settings(folder: Path, options: dict[str, Any]) -> ImageSettings:
    try:
        return settings_of_preprocessor(options)
    except ValueError as error:
        raise CheckpointError(
            f"{folder}: the preprocessor {error} Where the way of resizing alone is in the way, --resize crop, pad or "
            "squash shows films otherwise than the model was trained on."
        ) from None


def _one_piece(folder: Path) -> dict[str, Any]:
    """Return the preprocessor's options.

    Raises:
        CheckpointError: There are none, or it shows a film in several pieces.
    """
    for path in (folder / name for name in PREPROCESSOR_FILES):
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            options = dict(content.get("image_processor", content))
        except (ValueError, AttributeError, TypeError):
            raise CheckpointError(f"{path}: is no JSON object. Fetch the file again.") from None
        several = [option for option in _SEVERAL_CROPS if options.get(option)]
        if several:
            raise CheckpointError(
                f"{path}: shows a film in several crops ({several[0]}); one square a film can be repeated. Switch it "
                "off there if the model was also trained on whole films."
            )
        if "image_mean" in options:
            return options
    raise CheckpointError(
        f"{folder}: holds no {PREPROCESSOR_FILES[0]}, which says how films are prepared. Place it there."
    )
