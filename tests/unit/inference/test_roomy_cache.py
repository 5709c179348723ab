import pytest
import torch
from transformers import DynamicCache, LlamaConfig, MistralConfig

from radlet.inference.roomy_cache import roomy_cache

CONFIG = LlamaConfig(num_hidden_layers=2, hidden_size=8, num_attention_heads=2)


def test_it_holds_what_transformers_own_cache_holds_also_after_rows_are_dropped() -> None:
    roomy, usual = roomy_cache(CONFIG, 9), DynamicCache(config=CONFIG)
    generator = torch.Generator().manual_seed(0)
    rows = 3
    for length, kept in ((5, [0, 2]), (1, None), (1, [1]), (2, None)):
        for layer in range(2):
            keys, values = (torch.randn(rows, 2, length, 4, generator=generator) for _ in range(2))
            for ours, theirs in zip(roomy.update(keys, values, layer), usual.update(keys, values, layer), strict=True):
                assert torch.equal(ours, theirs)
        if kept:
            for cache in (roomy, usual):
                cache.batch_select_indices(torch.tensor(kept))
            rows = len(kept)
        assert roomy.get_seq_length() == usual.get_seq_length()


def test_more_than_there_is_room_for_is_an_error() -> None:
    cache = roomy_cache(CONFIG, 4)
    cache.update(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), 0)
    with pytest.raises(ValueError, match="room for 4 tokens, not for 5"):
        cache.update(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4), 0)


def test_layers_that_look_through_a_window_stay_transformers_own() -> None:
    windows = MistralConfig(num_hidden_layers=2, sliding_window=4)
    assert [type(layer) for layer in roomy_cache(windows, 8).layers] == [
        type(layer) for layer in DynamicCache(config=windows).layers
    ]
