"""Packed batches: the rows of a micro-batch end to end, (1, sum of lengths), so that nothing is computed for padding.

Everything in a decoder but attention works on one token at a time and does not notice. Attention is registered with
transformers under a name of its own: it lays queries, keys and values out as rows again, for attention alone, so that
no row sees another, and rows of like length share one grid. The numbers are those of a padded batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask

from radlet.models.report_model import ReportModel

ATTENTION = "radlet_packed"
FUSED_ATTENTION = "radlet_packed_fused"
"""By PyTorch's fused kernel, which does not form the weights where it can: transformers' choice on a card, so ours."""

# Families whose attention is the plain one: softmax of scaled products, causal, within a window at most. Positions are
# given, so that each row counts from 0.
FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3"})

_ROWS_PER_GRID = 16
"""Fewer rows in a grid leave less to pad; more make larger products. Packed rows come sorted by length."""


@dataclass(frozen=True)
class PackedRows:
    """Where the rows of a packed batch begin and end, and the grids in which attention sees them.

    Attributes:
        grids: For each group of rows, the place in the packed batch of each of its tokens, (rows, longest); -1 where a
            row has ended.
        places: For each token of the packed batch, its place in the grids laid end to end.
    """

    grids: tuple[torch.Tensor, ...]
    places: torch.Tensor

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> "PackedRows":
        """Lay rows of these lengths out, in their order."""
        starts = np.concatenate([[0], np.cumsum(lengths)])
        grids = []
        for first in range(0, len(lengths), _ROWS_PER_GRID):
            members = np.asarray(lengths[first : first + _ROWS_PER_GRID])
            column = np.arange(members.max())
            grid = starts[first : first + len(members), None] + column
            grids.append(np.where(column < members[:, None], grid, -1))
        flat = np.concatenate([grid.ravel() for grid in grids])
        places = np.empty(starts[-1], np.int64)
        places[flat[flat >= 0]] = np.flatnonzero(flat >= 0)
        return cls(tuple(torch.from_numpy(grid).to(device) for grid in grids), torch.from_numpy(places).to(device))

    @property
    def flat(self) -> torch.Tensor:
        """The grids laid end to end."""
        return torch.cat([grid.flatten() for grid in self.grids])


def can_pack(report_model: ReportModel) -> bool:
    """Say whether the model's decoder is of a family whose packed numbers are known to be the padded ones."""
    family = report_model.model.config.get_text_config().model_type
    return report_model.architecture.plain and family in FAMILIES


def pack(sequences: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the sequences end to end, (1, sum of lengths)."""
    return torch.tensor([[token for sequence in sequences for token in sequence]])


def packed_inputs(model: PreTrainedModel, lengths: Sequence[int], device: torch.device) -> dict[str, Any]:
    """Return what the model's forward pass needs to know of a packed batch, beside its tokens.

    The decoder attends by the packed form of its kernel from then on, eager or fused, which is that kernel for batches
    that are not packed.
    """
    kernel = model.model.language_model.config._attn_implementation
    if kernel not in (ATTENTION, FUSED_ATTENTION):
        model.model.language_model.set_attn_implementation(FUSED_ATTENTION if kernel == "sdpa" else ATTENTION)
    return {
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        # One of four dimensions is taken as it is: without it a mask over all pairs of tokens would be made.
        "attention_mask": torch.zeros(1, 1, 1, 1, device=device),
        "packed_rows": PackedRows.of(lengths, device),
    }


def packed_attention(
    module: nn.Module,  # noqa: ARG001 - given by transformers
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed_rows: PackedRows | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend within each row; query (B, H, T, D), key and value (B, G, T, D), returns (B, T, H, D) and the weights.

    Without `packed_rows` the batch is padded and `attention_mask` (B, 1, T, S) is added, as in the eager kind.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if packed_rows is None:
        return _attend(query, key, value, attention_mask, scaling, dropout)

    def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        mask = _causal_mask(queries.shape[2], sliding_window, query)
        return _attend(queries, keys, values, mask, scaling, dropout)[0]

    return _by_grid(attend, (query, key, value), packed_rows), None


def fused_packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed_rows: PackedRows | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Attend as `packed_attention` does, by the fused kernel; without `packed_rows` as transformers does by it."""
    if packed_rows is None:
        attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
        return attended

    def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        # What pads a row of a grid stands behind it, where no token of the row looks: no mask is needed, and the
        # kernel that needs none is the one of linear memory.
        length = queries.shape[2]
        windowed = sliding_window is not None and sliding_window < length
        mask = _causal_mask(length, sliding_window, query) if windowed else None
        shared = queries.shape[1] // keys.shape[1]
        if shared > 1 and windowed:  # beside a mask, only the kernel that forms the weights lets heads share keys
            keys, values = (part.repeat_interleave(shared, dim=1) for part in (keys, values))
        grouped = queries.shape[1] != keys.shape[1]
        heads = F.scaled_dot_product_attention(
            queries, keys, values, mask, dropout, is_causal=not windowed, scale=scaling, enable_gqa=grouped
        )
        return heads.transpose(1, 2)

    return _by_grid(attend, (query, key, value), packed_rows), None


for _name, _function, _mask in (
    (ATTENTION, packed_attention, eager_mask),
    (FUSED_ATTENTION, fused_packed_attention, sdpa_mask),
):
    AttentionInterface.register(_name, _function)
    AttentionMaskInterface.register(_name, _mask)


def _by_grid(
    attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    states: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    packed_rows: PackedRows,
) -> torch.Tensor:
    """Return what `attend` gives for the rows of each grid, (1, T, H, D), packed again.

    Args:
        attend: From queries (rows, H, longest, D), keys and values (rows, G, longest, D) to (rows, longest, H, D).
        states: Queries (1, H, T, D), keys and values (1, G, T, D).
        packed_rows: Where rows begin and end.
    """
    flat, heads = packed_rows.flat, []
    sizes = [grid.numel() for grid in packed_rows.grids]
    parts = [torch.split(_rearranged(one.transpose(1, 2)[0], flat, packed_rows.places), sizes) for one in states]
    for grid, *own in zip(packed_rows.grids, *parts, strict=True):
        queries, keys, values = (part.unflatten(0, grid.shape).transpose(1, 2) for part in own)
        heads.append(attend(queries, keys, values).flatten(0, 1))
    return _rearranged(torch.cat(heads), packed_rows.places, flat)[None]


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    dropout: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend by plain matrix products: on a CPU their backward pass takes half as long as the fused kernel's."""
    (batch, num_heads, num_queries, _), (num_groups, num_keys) = query.shape, key.shape[1:3]
    shared = num_heads // num_groups
    # The heads that share keys and values are further queries to these; nothing is repeated.
    query = query.reshape(batch * num_groups, shared * num_queries, -1)
    scores = torch.bmm(query, key.reshape(batch * num_groups, num_keys, -1).transpose(1, 2))
    scores = scores.view(batch, num_groups * shared, num_queries, num_keys) * scaling
    if mask is not None:
        scores = scores + mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    if dropout > 0:
        weights = F.dropout(weights, p=dropout)
    grouped = weights.view(batch * num_groups, shared * num_queries, num_keys)
    output = torch.bmm(grouped, value.reshape(batch * num_groups, num_keys, -1))
    return output.view(batch, num_heads, num_queries, -1).transpose(1, 2), weights


def _causal_mask(length: int, window: int | None, like: torch.Tensor) -> torch.Tensor:
    """Return (T, T): 0 where a token is seen, the smallest number where it comes later or lies out of the window."""
    distance = torch.arange(length, device=like.device)[:, None] - torch.arange(length, device=like.device)
    hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    return torch.zeros_like(distance, dtype=like.dtype).masked_fill_(hidden, torch.finfo(like.dtype).min)


def _rearranged(tokens: torch.Tensor, order: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
    moved: torch.Tensor = _Rearranged.apply(tokens, order, back)  # type: ignore[no-untyped-call]
    return moved


class _Rearranged(torch.autograd.Function):
    """Tokens (M, ...) in another order, zero where the order says -1; `back` is the order that undoes it.

    Every token goes to one place at most, so that the gradient is read where the token went: adding up, as indexing
    does, would take as long as the attention.
    """

    @staticmethod
    def forward(ctx: Any, tokens: torch.Tensor, order: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        """Return (len(order), ...)."""
        ctx.back = back
        return _taken(tokens, order)

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Return the gradient in the old order."""
        return _taken(grad_output, ctx.back), None, None


def _taken(tokens: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    taken = tokens.index_select(0, order.clamp(min=0))
    missing = order < 0
    return taken.masked_fill_(missing.view(-1, *[1] * (taken.ndim - 1)), 0)
