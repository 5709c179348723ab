"""Where the model looked: which patches of the film the words of a draft were read off.

The draft is fed through the model once more with attention weights kept. Attention alone shows much that is read
whatever is written (attention sinks: Kang et al. 2025), and words also take from the film through the words before
them. So the map that is drawn weighs attention by its effect on the phrase (Chefer et al. 2021, equation 5): of every
weight from a later position to a patch, over the upper half of the layers, times the gradient of the phrase's
log-likelihood by that weight, what is positive, averaged over heads. The other two maps are what `evaluate` holds it
against; `docs/grounding.md` has the figures.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.models.report_model import ReportModel

Map = NDArray[np.float32]
Span = tuple[int, int]
"""Characters of a text, from and up to."""


@dataclass(frozen=True)
class AttentionMaps:
    """Attention of one phrase over one film, each (rows, cols) float32 that sums to 1.

    Attributes:
        weighted: Attention of all later positions, weighed by its effect on the phrase. The one that is drawn.
        raw: Attention of the positions that predicted the phrase.
        relative: `raw` divided by its mean over all words of the draft (after Zhang et al. 2025, who divide by that
            of a general question).
    """

    weighted: Map
    raw: Map
    relative: Map


def find_phrase(text: str, phrase: str) -> Span:
    """Return where a phrase first stands in a text; capitals do not count.

    Raises:
        DataError: It does not occur.
    """
    start = text.lower().find(phrase.strip().lower())
    if start < 0 or not phrase.strip():
        raise DataError("The word or phrase does not occur in the draft; choose one that does.")
    return start, start + len(phrase.strip())


def attend(
    report_model: ReportModel, prompt: list[int], pixel_values: torch.Tensor, text: str, spans: Sequence[Span]
) -> list[AttentionMaps]:
    """Return the maps of some spans of `text` over the first film of the prompt.

    Raises:
        DataError: The text has no words.
    """
    model = report_model.model
    target = report_model.encode_target(text)[:-1]
    if not target:
        raise DataError("There is no text to explain.")
    input_ids = torch.tensor([prompt + target], device=model.device)
    side = math.isqrt(report_model.num_image_tokens)
    first_film = (input_ids[0] == model.config.image_token_id).nonzero()[: report_model.num_image_tokens, 0]
    patches = first_film[-side * side :]  # a class token, if kept, stands before the patches
    predicting = torch.arange(len(prompt) - 1, len(prompt) + len(target) - 1, device=model.device)
    attentions, logits = _read(report_model, input_ids, pixel_values)
    likelihoods = logits[0, predicting].float().log_softmax(-1)[range(len(target)), target]
    upper = attentions[len(attentions) // 2 :]
    plain = torch.stack([layer.detach()[0].mean(0) for layer in upper]).mean(0)[predicting][:, patches].float()
    plain = plain / plain.sum(-1, keepdim=True).clamp(min=1e-9)
    maps = []
    for chosen in _tokens_of(_token_texts(report_model, target), text, spans):
        gradients = torch.autograd.grad(likelihoods[chosen].mean(), upper, retain_graph=True)
        effect = sum((a.detach() * g)[0].clamp(min=0).mean(0).sum(0) for a, g in zip(upper, gradients, strict=True))
        raw = plain[chosen].mean(0)
        three = (effect[patches].float(), raw, raw / (plain.mean(0) + 1e-6))  # type: ignore[index]
        maps.append(AttentionMaps(*(_as_map(weights, side) for weights in three)))
    return maps


def _read(
    report_model: ReportModel, input_ids: torch.Tensor, pixel_values: torch.Tensor
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Return the attention weights of every layer and the logits, with what gradients by the weights need."""
    model, architecture = report_model.model, report_model.architecture
    inputs = architecture.text_inputs(model, input_ids) | architecture.film_inputs(model, pixel_values.to(model.device))
    # Other attention kernels never form the weights and would return none.
    usual = model.config.text_config._attn_implementation
    model.model.language_model.set_attn_implementation("eager")
    hook = model.get_input_embeddings().register_forward_hook(lambda *out: out[-1].requires_grad_())
    try:
        with torch.enable_grad():
            outputs = model(input_ids=input_ids, **inputs, output_attentions=True, use_cache=False)
    finally:
        hook.remove()
        model.model.language_model.set_attn_implementation(usual)
    return outputs.attentions, outputs.logits


def _as_map(weights: torch.Tensor, side: int) -> Map:
    """Return patch weights as a map that sums to 1; one without any weight is even."""
    total = weights.sum()
    even = torch.full_like(weights, 1 / len(weights))
    return np.asarray((weights / total if total > 0 else even).reshape(side, side).cpu().numpy(), np.float32)


def _tokens_of(tokens: Sequence[str], text: str, spans: Sequence[Span]) -> list[NDArray[np.int64]]:
    """Return the positions of the tokens that each span of `text` touches."""
    ahead = len("".join(tokens).rstrip()) - len(text.rstrip())  # the space before an answer; one may follow it too
    ends = np.cumsum([len(token) for token in tokens]) - ahead
    starts = ends - [len(token) for token in tokens]
    return [np.flatnonzero((ends > start) & (starts < end)) for start, end in spans]


def _token_texts(report_model: ReportModel, target: list[int]) -> list[str]:
    """Decode prefixes, so that the pieces joined are the text even where a character spans tokens."""
    texts = [report_model.tokenizer.decode(target[:end]) for end in range(len(target) + 1)]
    return [after[len(before) :] for before, after in itertools.pairwise(texts)]
