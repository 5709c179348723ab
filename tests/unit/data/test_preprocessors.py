"""What published towers were trained on, read from their preprocessor files and held against transformers' own."""

import json

import numpy as np
import pytest
from PIL import Image

from radlet.core.errors import CheckpointError
from radlet.data.images import resize_film, to_pixel_values
from radlet.data.preprocessors import read_preprocessor, settings_of_preprocessor

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CROP = {"do_center_crop": True, "resample": 3, "rescale_factor": 1 / 255}
SQUARE = {"height": 48, "width": 48}
PUBLISHED = {
    "clip": ("CLIPImageProcessorPil", HALF | CROP | {"size": {"shortest_edge": 48}, "crop_size": SQUARE}),
    "dinov2": ("BitImageProcessorPil", IMAGENET | CROP | {"size": {"shortest_edge": 56}, "crop_size": SQUARE}),
    "siglip": ("SiglipImageProcessorPil", HALF | {"size": SQUARE, "resample": 3}),
    "vit": ("ViTImageProcessorPil", HALF | {"size": SQUARE, "resample": 2}),
}


@pytest.mark.parametrize("shape", [(61, 97), (97, 61)], ids=str)
@pytest.mark.parametrize("family", PUBLISHED)
def test_the_settings_repeat_the_processor(family, shape):
    import transformers

    name, options = PUBLISHED[family]
    film = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    processor = getattr(transformers, name)(**options)
    theirs = processor(Image.fromarray(film).convert("RGB"), return_tensors="np")["pixel_values"][0]
    settings = settings_of_preprocessor(options)
    assert np.abs(to_pixel_values(resize_film(film, settings), settings) - theirs).max() < 1e-6


def test_numbers_alone_mean_what_they_meant_in_the_first_versions():
    old = settings_of_preprocessor(HALF | {"do_center_crop": True, "size": 48, "crop_size": 48, "resample": 3})
    assert old == settings_of_preprocessor(PUBLISHED["clip"][1])
    assert settings_of_preprocessor(HALF | {"size": 48, "resample": 2}).resize == "squash"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"do_normalize": False}, "does not normalise"),
        ({"do_pad": True}, "pads the film"),
        ({"rescale_factor": 1.0}, "1/255"),
        ({"image_mean": None}, "no image_mean"),
        ({"resample": 1}, "resample is 1; 3"),
        ({"resample": None}, "resample is None"),
        ({"size": {"shortest_edge": 48}, "do_center_crop": False}, "no fixed square"),
        ({"size": {"height": 48, "width": 64}}, "no fixed square"),
        ({"crop_size": {"height": 48, "width": 40}}, "only a square"),
        ({"size": {"shortest_edge": 40}}, "shortest_edge_px"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_what_cannot_be_repeated_is_refused_by_name(change, said):
    with pytest.raises(ValueError, match=said):
        settings_of_preprocessor(PUBLISHED["clip"][1] | change)


def test_files_of_both_kinds_are_read(tmp_path):
    assert read_preprocessor(tmp_path) is None
    wanted = settings_of_preprocessor(PUBLISHED["vit"][1])
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": PUBLISHED["vit"][1]}))
    assert read_preprocessor(tmp_path) == wanted
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PUBLISHED["siglip"][1]))
    assert read_preprocessor(tmp_path) == settings_of_preprocessor(PUBLISHED["siglip"][1])
    (tmp_path / "preprocessor_config.json").write_text("[1")
    with pytest.raises(CheckpointError, match="no JSON object"):
        read_preprocessor(tmp_path)
