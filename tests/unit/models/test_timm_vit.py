"""Names of timm to names of transformers: every tensor lands where it belongs, and nothing unknown passes."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import Dinov2Model

from radlet.core.errors import CheckpointError
from radlet.models.importers.timm_vit import convert_tower, dinov2_config

WIDTH, DEPTH, PATCH, SIZE = 8, 2, 4, 8


def timm_state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    state = {"cls_token": rand(1, 1, WIDTH), "pos_embed": rand(1, 5, WIDTH)}
    shapes = {"patch_embed.proj": (WIDTH, 3, PATCH, PATCH), "norm": (WIDTH,)}
    for block in range(DEPTH):
        inside = {"norm1": (WIDTH,), "attn.qkv": (3 * WIDTH, WIDTH), "attn.proj": (WIDTH, WIDTH), "norm2": (WIDTH,)}
        inside |= {"mlp.fc1": (4 * WIDTH, WIDTH), "mlp.fc2": (WIDTH, 4 * WIDTH)}
        shapes |= {f"blocks.{block}.{name}": shape for name, shape in inside.items()}
        state |= {f"blocks.{block}.ls{number}.gamma": rand(WIDTH) for number in (1, 2)}
    for name, shape in shapes.items():
        state |= {f"{name}.weight": rand(*shape), f"{name}.bias": rand(shape[0])}
    return state


def test_every_tensor_lands_in_transformers_tower(tmp_path):
    state = timm_state()
    converted = convert_tower(state)
    dinov2_config(state, SIZE, 2).save_pretrained(tmp_path)
    save_file({name: tensor.contiguous() for name, tensor in converted.tensors.items()}, tmp_path / "model.safetensors")
    tower, loading = Dinov2Model.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())
    assert converted.unknown == ()
    assert set(converted.mapped) == set(state)
    assert sum(tensor.numel() for tensor in state.values()) == sum(p.numel() for p in tower.parameters())


def test_qkv_is_cut_into_query_key_value_in_this_order():
    state = timm_state()
    tensors = convert_tower(state).tensors
    layer = "encoder.layer.1.attention.attention"
    parts = [tensors[f"{layer}.{name}.weight"] for name in ("query", "key", "value")]
    assert torch.equal(torch.cat(parts), state["blocks.1.attn.qkv.weight"])
    assert torch.equal(tensors["encoder.layer.0.layer_scale2.lambda1"], state["blocks.0.ls2.gamma"])


def test_unknown_names_are_told_not_dropped():
    converted = convert_tower(timm_state() | {"reg_token": torch.zeros(1), "blocks.0.attn.rope": torch.zeros(1)})
    assert converted.unknown == ("reg_token", "blocks.0.attn.rope")


@pytest.mark.parametrize(
    ("size_px", "num_heads", "said"), [(12, 2, "5 positions"), (8, 3, "no multiple of its 3 heads")]
)
def test_a_configuration_of_other_weights_is_refused(size_px, num_heads, said):
    with pytest.raises(CheckpointError, match=said):
        dinov2_config(timm_state(), size_px, num_heads)
