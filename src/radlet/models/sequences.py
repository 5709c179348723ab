"""Token sequences: a report between its begin and end tokens, and batches of unequal lengths."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase


def encode_report(tokenizer: PreTrainedTokenizerBase, text: str | None, max_tokens: int) -> list[int]:
    """Return begin token, the text cut to `max_tokens`, and end token."""
    ids = tokenizer(" " + text, add_special_tokens=False)["input_ids"][:max_tokens] if text else []
    begin = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return [begin, *ids, tokenizer.eos_token_id]


def pad_right(sequences: Sequence[Sequence[int]], value: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ids, mask), both (B, longest): each sequence, then `value`; the mask is 1 over the sequence."""
    longest = max(len(sequence) for sequence in sequences)
    ids = torch.full((len(sequences), longest), value)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids, mask
