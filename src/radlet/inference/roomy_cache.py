"""A memory of keys and values that grows in place.

transformers' own growing cache copies all it holds at every token, and its static one makes attention read room that
is still empty; this one writes into room taken once and shows what is filled.
"""

from typing import Any

import torch
from transformers import DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer


class _RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (B, heads, length, width) each: views of buffers with room for more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.is_initialized: bool = False
        self._room = room

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new keys and values behind the old, and return all of them."""
        start = self.get_seq_length()
        if not self.is_initialized:
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            self._keys, self._values = self._with_room(keys), self._with_room(values)
        end = start + keys.shape[-2]
        if end > self._keys.shape[-2]:
            raise ValueError(f"There is room for {self._keys.shape[-2]} tokens, not for {end}.")
        self._keys[..., start:end, :] = keys
        self._values[..., start:end, :] = values
        self.keys, self.values = self._keys[..., :end, :], self._values[..., :end, :]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows."""
        end = self.get_seq_length()
        for held, shown in (("_keys", "keys"), ("_values", "values")):
            kept = getattr(self, shown)[indices]
            buffer = self._with_room(kept)
            buffer[..., :end, :] = kept
            setattr(self, held, buffer)
            setattr(self, shown, buffer[..., :end, :])

    def join(self, other: "_RoomyLayer", spare: int, room: int) -> None:
        """Take in another's rows behind one's own, both ending in the same place, in room for `room` tokens.

        The first `spare` places of the longer one are let go; what the shorter one lacks in front is zero.
        """
        end = max(self.get_seq_length(), other.get_seq_length()) - spare
        self._room = room
        for held, shown in (("_keys", "keys"), ("_values", "values")):
            parts = [getattr(layer, shown)[..., -end:, :] for layer in (self, other)]
            shape = (sum(len(part) for part in parts), *parts[0].shape[1:-2], room, parts[0].shape[-1])
            buffer, row = parts[0].new_zeros(shape), 0
            for part in parts:
                buffer[row : row + len(part), ..., end - part.shape[-2] : end, :] = part
                row += len(part)
            setattr(self, held, buffer)
            setattr(self, shown, buffer[..., :end, :])

    def _with_room(self, like: torch.Tensor) -> torch.Tensor:
        return like.new_empty(*like.shape[:-2], self._room, like.shape[-1])


def roomy_cache(config: PretrainedConfig, room: int) -> DynamicCache:
    """Return an empty cache for `room` tokens a row; layers that remember otherwise, by windows, stay as they are.

    Args:
        config: Of the language model.
        room: Tokens of the longest prompt, padded, and of the longest answer.
    """
    cache = DynamicCache(config=config)
    cache.layers = [_RoomyLayer(room) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def can_join(cache: DynamicCache) -> bool:
    """Tell whether rows of another cache of this kind can be taken in: windows and states cannot be moved along."""
    return all(type(layer) is _RoomyLayer for layer in cache.layers)


def join_caches(cache: DynamicCache, other: DynamicCache, spare: int, room: int) -> None:
    """Take another cache's rows into `cache`, behind its own, both ending in the same place.

    Args:
        cache: Grows.
        other: Is of no use afterwards.
        spare: Places at the front that no row needs any more, of the longer of the two.
        room: Tokens of the longest row when all is written.
    """
    for own, joined in zip(cache.layers, other.layers, strict=True):
        own.join(joined, spare, room)
