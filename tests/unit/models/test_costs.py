"""What is counted on tensors without storage is what the code does on real ones."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from radlet.models.costs import counting, without_storage

SHAPE = LlamaConfig(
    vocab_size=100,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


def test_a_linear_layer_costs_its_products_and_its_traffic() -> None:
    with without_storage():
        layer, rows = nn.Linear(8, 4, bias=False), torch.empty(16, 8)
        with counting() as cost:
            layer(rows)
    assert cost.flops == 2 * 16 * 8 * 4
    assert cost.moved_bytes == 4 * (16 * 8 + 8 * 4 + 16 * 4)
    assert cost.peak_bytes == 4 * 16 * 4


def test_backward_costs_twice_forward_and_a_frozen_weight_saves_half_of_that() -> None:
    def flops(trains: bool) -> int:
        with without_storage():
            layer, rows = nn.Linear(8, 4, bias=False), torch.empty(16, 8, requires_grad=True)
            layer.weight.requires_grad_(trains)
            with counting() as cost:
                layer(rows).sum().backward()
        return cost.flops

    forward = 2 * 16 * 8 * 4
    assert flops(trains=True) == 3 * forward
    assert flops(trains=False) == 2 * forward


def test_what_is_freed_is_not_alive() -> None:
    with without_storage(), counting() as cost:
        for _ in range(3):
            made = torch.empty(1000) + 1
            del made
        assert cost.peak_bytes <= 2 * 4000
        assert cost.live_bytes == 0


def test_memory_is_told_in_the_order_in_which_it_is_taken_and_given_back() -> None:
    with without_storage(), counting() as cost:
        first = torch.empty(10)
        second = torch.empty(20)
        del first
    assert cost.blocks[:2] == [(0, 40), (1, 80)]
    assert cost.blocks[2] == (0, 0)
    del second


def test_functions_and_random_numbers_are_told_from_plain_arithmetic() -> None:
    with without_storage(), counting() as cost:
        values = torch.empty(100)
        torch.softmax(values + 1, 0)
        values.bernoulli_(0.5)
    assert sum(operation.functions for operation in cost.operations) == 100
    assert sum(operation.draws for operation in cost.operations) == 100


def test_products_of_one_size_share_a_kernel_and_those_of_32_bits_have_none() -> None:
    with without_storage(torch.bfloat16), counting() as cost:
        for rows in (4, 4, 5):
            torch.empty(rows, 8) @ torch.empty(8, 8)
        torch.empty(4, 8, dtype=torch.float32) @ torch.empty(8, 8, dtype=torch.float32)
    assert len(cost.half_products) == 2


def test_a_view_costs_nothing() -> None:
    with without_storage():
        rows = torch.empty(16, 8)
        with counting() as cost:
            rows.view(8, 16).transpose(0, 1)[2:4]
    assert cost.operations == []


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_a_decoder_costs_two_products_a_weight_and_token_plus_attention(kernel: str) -> None:
    with without_storage():
        model = AutoModelForCausalLM.from_config(SHAPE, attn_implementation=kernel)
        with counting() as cost, torch.no_grad():
            model.model(inputs_embeds=torch.empty(1, 10, 32), use_cache=False)
        weights = sum(p.numel() for name, p in model.model.layers.named_parameters() if "proj" in name)
    attention = 2 * (2 * 2 * 10 * 10 * 32)  # layers x (scores and values) over all pairs
    rotary = 2 * 10 * 4  # angles are a product of positions and frequencies
    assert cost.flops == pytest.approx(2 * weights * 10 + attention, abs=rotary)


def test_models_can_be_made_as_usual_afterwards() -> None:
    with pytest.raises(ZeroDivisionError), without_storage(torch.bfloat16):
        raise ZeroDivisionError
    layer = nn.Linear(2, 2).double()
    assert layer.weight.dtype == torch.float64
    assert float(layer.weight.detach().abs().sum()) > 0
    assert torch.empty(1).dtype == torch.float32
