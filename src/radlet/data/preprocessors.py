"""What a published vision tower was trained on: transformers' ``preprocessor_config.json`` as our image settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError

from radlet.core.errors import CheckpointError, ConfigError
from radlet.data.images import ImageSettings

PREPROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Where transformers writes an image processor: alone, or within a whole processor."""

_RESAMPLES = {int(Image.Resampling.BICUBIC): "bicubic", int(Image.Resampling.BILINEAR): "bilinear"}
_MEANS = {"image_mean": "mean", "image_std": "std"}
_TO_UNIT = 1 / 255


def read_preprocessor(folder: Path) -> ImageSettings | None:
    """Return the image settings of the folder's preprocessor; None where it has none.

    Raises:
        CheckpointError: The file is damaged, or tells of steps that the image path does not have.
    """
    for name in PREPROCESSOR_FILES:
        path = folder / name
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            options = content.get("image_processor", content)
            if "image_mean" not in options and name == "processor_config.json":
                continue
        except (ValueError, AttributeError, TypeError):
            raise CheckpointError(f"{path}: is no JSON object. Fetch the file again.") from None
        try:
            return settings_of_preprocessor(options)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from None
    return None


def settings_of_preprocessor(options: Mapping[str, Any]) -> ImageSettings:
    """Return the image settings that repeat a preprocessor exactly on 8-bit grey films.

    Args:
        options: What ``preprocessor_config.json`` of CLIP, SigLIP, DINOv2, ViT and their like holds.

    Raises:
        ValueError: A step has no equal here; the message names it and what is possible.
    """
    try:
        return _repeated(options)
    except (TypeError, OverflowError):
        raise ValueError("holds a value of another type than it must have.") from None


def _repeated(options: Mapping[str, Any]) -> ImageSettings:
    if not options.get("do_resize", True) or not options.get("do_normalize", True):
        raise ValueError("does not resize or does not normalise; radlet always does both.")
    if options.get("do_pad"):
        raise ValueError("pads the film (do_pad); only a resize with or without a centre crop can be repeated.")
    factor = options.get("rescale_factor")
    if not options.get("do_rescale", True) or abs((_TO_UNIT if factor is None else factor) - _TO_UNIT) > 1e-9:
        raise ValueError("does not scale grey by 1/255; nothing else can be repeated.")
    for name in _MEANS:
        if not isinstance(options.get(name), list) or len(options[name]) != 3:
            raise ValueError(f"has no {name} of three channels.")
    resample = _RESAMPLES.get(options.get("resample", -1))
    if resample is None:
        raise ValueError(f"resample is {options.get('resample')}; 3 (bicubic) and 2 (bilinear) can be repeated.")
    values = {new: tuple(options[old]) for old, new in _MEANS.items()}
    try:
        return ImageSettings(**_shape(options), **values, resample=resample)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.") from None


def check_agreement(
    settings: ImageSettings, own: ImageSettings, folder: Path, *, sizes_may_differ: bool = False
) -> None:
    """Refuse image settings that are not those a tower was trained on.

    Args:
        settings: Of the recipe.
        own: Of the tower.
        folder: Where the tower is, for the message.
        sizes_may_differ: Films of another size are allowed; how grey becomes numbers must still agree.

    Raises:
        ConfigError: They differ; every value is named with its counterpart.
    """
    sizes = {"size_px", "shortest_edge_px"} if sizes_may_differ else set()
    mine, theirs = (one.model_dump(exclude=sizes) for one in (settings, own))
    wrong = [f"image.{key} = {mine[key]} (the tower's: {theirs[key]})" for key in mine if mine[key] != theirs[key]]
    if wrong:
        raise ConfigError(
            f"{'; '.join(wrong)}: the recipe does not prepare films as the tower in {folder} was trained. Leave "
            "[image] out to take the tower's own, or give its values."
        )


def _shape(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return size, policy and shortest edge."""
    size = options.get("size")
    size = {"shortest_edge": size} if isinstance(size, int) and options.get("do_center_crop") else size
    size = {"height": size, "width": size} if isinstance(size, int) else _table(size)
    cut = options.get("crop_size")
    cut = {"height": cut, "width": cut} if isinstance(cut, int) else _table(cut)
    edge, square = size.get("shortest_edge"), size.get("height")
    if edge is not None and options.get("do_center_crop"):
        if not cut or cut.get("height") != cut.get("width"):
            raise ValueError(f"cuts out {cut or 'nothing that it names'}; only a square can be repeated.")
        side = int(cut["height"])
        return {"size_px": side, "resize": "crop", "shortest_edge_px": None if side == edge else int(edge)}
    if square is None or square != size.get("width"):
        raise ValueError(f"brings films to {size}, which is no fixed square.")
    if options.get("do_center_crop") and cut.get("height", square) != square:
        raise ValueError(f"squashes films to {square} and then cuts {cut.get('height')}, which has no equal here.")
    return {"size_px": int(square), "resize": "squash"}


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping | None):
        raise TypeError
    return dict(value or {})
