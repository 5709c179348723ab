import sys

import pytest
import torch
from tests.fixtures.tiny import make_report_model
from torch import nn

from radlet.core.errors import ConfigError
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.quantised import quantise_blocks, quantised_layers

# Largest error of a weight, as a share of the largest weight of its row (int8) or of its group of 64 (nf4).
BOUNDS = {"int8": 0.5 / 127, "nf4": 0.16}


@pytest.mark.parametrize("form", sorted(QUANTISATIONS))
def test_a_layer_is_near_its_plain_one_and_passes_the_gradient_of_what_it_is(form: str) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(128, 64)
    layer = QUANTISATIONS[form].of(plain.weight.detach(), plain.bias)
    weight = layer.dequantised()
    assert ((weight - plain.weight).abs() / plain.weight.abs().amax(1, keepdim=True)).max() <= BOUNDS[form] * 1.01
    x = torch.randn(3, 128, requires_grad=True)
    layer(x).square().sum().backward()
    y = x.detach().clone().requires_grad_()
    nn.functional.linear(y, weight, plain.bias).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize(("form", "largest"), [("int8", 1.1), ("nf4", 0.6)])
def test_a_weight_takes_few_bytes(form: str, largest: float) -> None:
    layer = QUANTISATIONS[form].of(torch.randn(64, 256), None)
    taken = sum(p.numel() * p.element_size() for p in layer.parameters())
    assert taken <= largest * 64 * 256


def test_a_row_of_zeros_stays_one() -> None:
    weight = torch.zeros(2, 8)
    weight[1] = 3.0
    layer = QUANTISATIONS["int8"].of(weight, None)
    torch.testing.assert_close(layer.dequantised(), weight)


def test_only_the_blocks_of_the_language_model_are_quantised() -> None:
    model = make_report_model().model
    quantise_blocks(model, "int8")
    names = [name for name, _ in quantised_layers(model)]
    assert len(names) == 2 * 7
    assert all(name.startswith("model.language_model.layers.") for name in names)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bitsandbytes", "bitsandbytes.functional", "bitsandbytes.nn"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "radlet.models.quantisations.nf4", raising=False)
    with pytest.raises(ConfigError, match=r"needs bitsandbytes.*radlet\[qlora\].*'int8' needs no package"):
        quantise_blocks(make_report_model().model, "nf4")
