import pytest
import torch

from radlet.core.errors import CheckpointError, ConfigError
from radlet.models.encoders import HybridEncoderConfig, TransformersEncoderConfig, token_layout, tower_tokens

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}


@pytest.mark.parametrize(
    ("model_type", "num_extra"), [("clip_vision_model", 1), ("dinov2", 1), ("vit", 1), ("siglip_vision_model", 0)]
)
def test_every_family_of_towers_fits(model_type: str, num_extra: int) -> None:
    config = TransformersEncoderConfig(kind="transformers", model_type=model_type, options=TINY)
    tower = config.build(32)
    assert token_layout(tower, 32, config.feature_layer) == (num_extra, 4)
    assert tower_tokens(tower, torch.zeros(2, 3, 32, 32), config.feature_layer).shape == (2, 16 + num_extra, 16)


def test_the_hybrid_gives_one_token_a_stride() -> None:
    config = HybridEncoderConfig(widths=(8, 8, 16, 16), depths=(1, 1, 2, 1), hidden_size=16, num_heads=2)
    assert config.stride_px == 32
    assert token_layout(config.build(96), 96, -1) == (1, 3)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ConfigError, match="multiple"):
        HybridEncoderConfig().build(100)
    with pytest.raises(ConfigError, match="depths"):
        HybridEncoderConfig(widths=(8, 8)).build(64)
    with pytest.raises(ConfigError, match="exactly one"):
        TransformersEncoderConfig(kind="transformers").build(32)
    with pytest.raises(ConfigError, match="nosuchtower"):
        TransformersEncoderConfig(kind="transformers", model_type="nosuchtower").build(32)


def test_a_convolutional_tower_is_refused() -> None:
    tower = TransformersEncoderConfig(kind="transformers", model_type="resnet", feature_layer=-1).build(64)
    with pytest.raises(ConfigError, match="hidden states"):
        token_layout(tower, 64, -1)


def test_a_missing_tower_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CheckpointError, match="no vision tower"):
        TransformersEncoderConfig(kind="transformers", path=tmp_path).build(32)
