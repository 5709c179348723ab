"""How likely a model finds given texts after its prompts: the log-likelihoods behind choices and calibration.

The prompt, with its films, is read once for all texts that follow it; the texts then go on from the model's cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from radlet.models.report_model import ReportModel


@dataclass(frozen=True)
class Continuation:
    """A text that may follow a prompt.

    Attributes:
        prompt: Position of its prompt in the batch.
        tokens: Token ids of the text.
    """

    prompt: int
    tokens: list[int]


@torch.inference_mode()
def continuation_log_likelihoods(
    report_model: ReportModel,
    prompts: Sequence[list[int]],
    pixel_values: torch.Tensor | None,
    continuations: Sequence[Continuation],
) -> list[float]:
    """Return the sum of the log-probabilities of each text's tokens, all in one batch.

    Args:
        report_model: The model.
        prompts: Token ids, image tokens expanded.
        pixel_values: The films of all prompts in order, (films, 3, S, S); None when there are none.
        continuations: The texts; one without a token has the likelihood of a certain event, 0.
    """
    model = report_model.model
    device = model.device
    # Padding on the left of prompts and on the right of texts, so that every text follows its prompt directly.
    ids, mask = _padded(prompts, "left")
    ids, mask = ids.to(device), mask.to(device)
    architecture = report_model.architecture
    films = {} if pixel_values is None else architecture.film_inputs(model, pixel_values.to(device))
    positions, following = architecture.positions(model, ids, mask, films)
    read = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        logits_to_keep=1,
        **films,
        **architecture.text_inputs(model, ids),
    )
    owner = torch.tensor([one.prompt for one in continuations], device=device)
    texts, wanted = _padded([one.tokens for one in continuations], "right")
    texts, wanted = texts.to(device), wanted.to(device)
    logits = read.logits[owner]  # (R, 1, V): what follows the prompts
    if texts.shape[1] > 1:
        cache = read.past_key_values
        cache.batch_select_indices(owner)
        follow = torch.arange(texts.shape[1] - 1, device=device)
        rest = model(
            input_ids=texts[:, :-1],
            attention_mask=torch.cat([mask[owner], wanted[:, :-1]], dim=1),
            position_ids=following[owner, None] + follow,
            past_key_values=cache,
            use_cache=True,
        )
        logits = torch.cat([logits, rest.logits], dim=1)  # (R, T, V)
    if not texts.shape[1]:
        return [0.0] * len(continuations)
    found = logits.float().log_softmax(-1).gather(-1, texts[..., None])[..., 0]
    return [float(value) for value in (found.double() * wanted).sum(-1)]


def _padded(rows: Sequence[list[int]], side: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask (B, T); what stands in the padding is never read."""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    ids = pad_sequence(tensors, batch_first=True, padding_side=side)
    mask = pad_sequence([torch.ones_like(row) for row in tensors], batch_first=True, padding_side=side)
    return ids, mask
