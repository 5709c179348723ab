import pytest
import torch
from tests.fixtures.tiny import make_pair, make_report_model

from radlet.models.blocks import find_stacks
from radlet.models.freezing import part_of, set_trainable
from radlet.training.optimizer import RateScales, build_optimizer, idle_rates, set_rate


def scale_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, float]:
    scales = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: scales[id(p)] for name, p in model.named_parameters()}


def test_blocks_are_found_in_tower_and_language_model() -> None:
    stacks = {stack.name: len(stack.blocks) for stack in find_stacks(make_report_model().model)}
    assert set(stacks.values()) == {1, 2}
    assert "model.language_model.layers" in stacks
    assert any(name.startswith("model.vision_tower.") for name in stacks)


def test_matrices_decay_and_vectors_do_not() -> None:
    model = make_report_model().model
    optimizer = build_optimizer(model, 1e-3, 0.1)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim >= 2 else 0.0)
        assert len({parameter.ndim >= 2 for parameter in group["params"]}) == 1
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))


def test_each_part_has_its_rate_and_the_schedule_keeps_their_ratio() -> None:
    model = make_report_model().model
    scales = RateScales(encoder=0.1, projector=1.0, language_model=0.25)
    optimizer = build_optimizer(model, 2.0, 0.0, scales)
    set_rate(optimizer, 0.5)
    for name, lr in scale_of(model, optimizer).items():
        assert lr == pytest.approx(0.5 * getattr(scales, part_of(name)))


def test_rates_fall_from_block_to_block_towards_the_input() -> None:
    model = make_report_model().model
    rates = scale_of(model, build_optimizer(model, 1.0, 0.0, layer_decay=0.5))
    prefix = "model.language_model."
    assert rates["lm_head.weight"] == rates[f"{prefix}norm.weight"] == 1.0
    assert rates[f"{prefix}layers.1.mlp.up_proj.weight"] == 0.5
    assert rates[f"{prefix}layers.0.mlp.up_proj.weight"] == 0.25
    assert rates[f"{prefix}embed_tokens.weight"] == 0.125
    tower = {name: rate for name, rate in rates.items() if part_of(name) == "encoder"}
    trunk = {rate for name, rate in tower.items() if "backbone" in name}
    assert trunk == {0.25}  # one block above it, and what follows the blocks
    assert {rate for name, rate in rates.items() if part_of(name) == "projector"} == {1.0}


def test_the_parts_of_an_image_text_model_have_rates_too() -> None:
    pair, _ = make_pair()
    rates = scale_of(pair, build_optimizer(pair, 1.0, 0.0, RateScales(encoder=0.5, projector=0.25)))
    assert rates["label_head.weight"] == rates["logit_scale"] == 0.25
    assert {rate for name, rate in rates.items() if name.startswith("encoder.")} == {0.5}
    assert {rate for name, rate in rates.items() if name.startswith("language_model.")} == {1.0}


def test_frozen_weights_have_no_place() -> None:
    model = make_report_model().model
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    groups = build_optimizer(model, 1.0, 0.0, layer_decay=0.9).param_groups
    assert [parameter is model.lm_head.weight for group in groups for parameter in group["params"]] == [True]


def test_settings_of_what_does_not_train_are_told() -> None:
    model = make_report_model().model
    scales = RateScales(encoder=0.1, projector=0.5)
    assert idle_rates(model, scales, 0.8) == []
    set_trainable(model, {"projector"})
    assert idle_rates(model, RateScales(projector=0.5), 1.0) == []
    assert idle_rates(model, scales, 0.8) == [
        "lr_scale.encoder = 0.1 has no effect: nothing of the encoder trains",
        "layer_decay = 0.8 has no effect: no part that has blocks trains",
    ]
