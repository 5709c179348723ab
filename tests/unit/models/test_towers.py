"""Published towers from local folders: the image side alone, whole or not at all, at the films' size."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from radlet.core.config import load_config
from radlet.core.errors import CheckpointError, ConfigError
from radlet.models.encoders import TransformersEncoderConfig, token_layout
from radlet.models.image_text import ImageTextModel
from radlet.models.towers import load_tower
from radlet.stages.pretrain import PretrainConfig

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VISION = SIZE | {"patch_size": 8, "image_size": 32}
TEXT = SIZE | {"vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
PUBLISHED = {
    "clip": ("CLIPModel", {"vision_config": VISION, "text_config": TEXT, "projection_dim": 8}),
    "clip_vision_model": ("CLIPVisionModel", VISION),
    "siglip": ("SiglipModel", {"vision_config": VISION, "text_config": TEXT}),
    "siglip_vision_model": ("SiglipVisionModel", VISION),
    "dinov2": ("Dinov2Model", VISION),
    "vit": ("ViTForImageClassification", VISION),
}


def publish(folder: Path, model_type: str) -> torch.nn.Module:
    """Write random weights as that family is published; return the whole model."""
    torch.manual_seed(0)
    name, options = PUBLISHED[model_type]
    model = getattr(transformers, name)(AutoConfig.for_model(model_type, **options)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("model_type", PUBLISHED)
def test_the_image_side_of_every_family_is_loaded_exactly(model_type, tmp_path):
    whole = publish(tmp_path, model_type)
    loaded = load_tower(tmp_path, 32)
    films = torch.randn(2, 3, 32, 32)
    side = next((part for name in ("vision_model", "vit") if (part := getattr(whole, name, None)) is not None), whole)
    with torch.no_grad():
        wanted = side(films, output_hidden_states=True).hidden_states[-2]
        found = loaded.model(films, output_hidden_states=True).hidden_states[-2]
    assert torch.equal(found, wanted)
    assert ("text_model." in loaded.left) == (model_type in ("clip", "siglip"))
    assert loaded.fresh == (("pooler.dense.bias", "pooler.dense.weight") if model_type == "vit" else ())
    assert loaded.model.config.model_type == {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}.get(
        model_type, model_type
    )


def change_weights(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    state = load_file(folder / "model.safetensors")
    save_file(change(state), folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {k: v for k, v in s.items() if "layers.1.layer_norm1" not in k}, "2 weights are missing"),
        (lambda s: s | {"decoder.weight": torch.zeros(2)}, r"1 weights are too many \(decoder.weight\)"),
        (lambda s: s | {"vision_model.post_layernorm.bias": torch.zeros(4)}, "size|shape"),
    ],
    ids=["missing", "too many", "shape"],
)
def test_weights_that_do_not_fit_are_refused_by_name(change, said, tmp_path):
    publish(tmp_path, "clip")
    change_weights(tmp_path, change)
    with pytest.raises(CheckpointError, match=said):
        load_tower(tmp_path, 32)


def test_pickled_weights_are_refused(tmp_path):
    publish(tmp_path, "dinov2")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"keeps its weights in pytorch_model\.bin"):
        load_tower(tmp_path, 32)


@pytest.mark.parametrize(("model_type", "said"), [("siglip2", "any shape"), ("resnet", "is none of clip")])
def test_other_models_are_refused(model_type, said, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(CheckpointError, match=said):
        load_tower(tmp_path, 32)


@pytest.mark.parametrize("model_type", ["clip", "siglip", "dinov2", "vit"])
def test_positions_are_stretched_as_transformers_does_and_only_on_request(model_type, tmp_path):
    whole = publish(tmp_path, model_type)
    with pytest.raises(ConfigError, match=r"image.size_px = 48, but the tower in .* was made for films of 32 px"):
        load_tower(tmp_path, 48)
    tower = load_tower(tmp_path, 48, interpolate=True).model
    own = load_tower(tmp_path, 32).model
    films = torch.randn(1, 3, 48, 48)
    asked = {} if model_type == "dinov2" else {"interpolate_pos_encoding": True}
    with torch.no_grad():
        wanted = own(films, output_hidden_states=True, **asked).hidden_states[-1]
        found = tower(films, output_hidden_states=True).hidden_states[-1]
    assert (found - wanted).abs().max() < 1e-5
    assert whole is not own
    assert token_layout(tower, 48, -1)[1] == 6
    tower.save_pretrained(tmp_path / "again")
    assert AutoModel.from_pretrained(tmp_path / "again").config.image_size == 48
    with pytest.raises(ConfigError, match="no multiple"):
        load_tower(tmp_path, 50, interpolate=True)


PREPROCESSOR = {
    "do_center_crop": True,
    "size": {"shortest_edge": 36},
    "crop_size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.5307, 0.5307, 0.5307],
    "image_std": [0.2583, 0.2583, 0.2583],
}


def test_a_recipe_takes_the_image_path_of_its_tower_or_must_agree_with_it(tmp_path):
    publish(tmp_path, "dinov2")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    encoder = {"kind": "transformers", "path": str(tmp_path)}
    config = load_config(PretrainConfig, None, examples="x", encoder=encoder)
    assert (config.image.size_px, config.image.shortest_edge_px, config.image.mean[0]) == (32, 36, 0.5307)
    assert config.encoder.build(config.image.size_px).config.model_type == "dinov2"
    image = config.image.model_dump()
    assert load_config(PretrainConfig, None, examples="x", encoder=encoder, image=image).image == config.image
    with pytest.raises(ConfigError, match=r"image.size_px = 48 \(the tower's: 32\)"):
        load_config(
            PretrainConfig, None, examples="x", encoder=encoder, image=image | {"size_px": 48, "shortest_edge_px": 52}
        )
    wider = load_config(
        PretrainConfig,
        None,
        examples="x",
        encoder=encoder | {"interpolate": True},
        image=image | {"size_px": 48, "shortest_edge_px": 52},
    )
    assert wider.encoder.build(48).config.image_size == 48
    with pytest.raises(ConfigError, match=r"image.std = .*\(the tower's: \(0.2583"):
        load_config(
            PretrainConfig,
            None,
            examples="x",
            encoder=encoder | {"interpolate": True},
            image=image | {"std": (0.5, 0.5, 0.5)},
        )


def test_a_folder_that_is_not_there_yet_is_no_fault_of_the_recipe(tmp_path):
    encoder = {"kind": "transformers", "path": str(tmp_path / "later")}
    config = load_config(PretrainConfig, None, examples="x", encoder=encoder)
    with pytest.raises(CheckpointError, match=r"there is no config\.json"):
        config.encoder.build(224)
    assert TransformersEncoderConfig(kind="transformers", model_type="vit", options=SIZE | {"patch_size": 8}).build(32)


def test_the_pair_of_pretrain_is_loaded_strictly_too(tmp_path):
    from tests.fixtures.tiny import make_pair

    pair, tokenizer = make_pair()
    pair.save(tmp_path, tokenizer)
    change_weights(tmp_path / "encoder", lambda s: {k: v for k, v in s.items() if "cls_token" not in k})
    with pytest.raises(CheckpointError, match="1 weights are missing"):
        ImageTextModel.load(tmp_path, ("Pleural Effusion", "Cardiomegaly"), -1, 32)
