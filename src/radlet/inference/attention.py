"""Where the model looked: attention from each written token to the patches of the film.

The draft is fed through the model once more with attention weights kept (LLaVA-Rad, figure on grounding). For a
token, the weights of the position that predicted it are averaged over heads and over the upper half of the layers,
where words are decided. Attention shows what was read, not what caused the word.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from radlet.core.errors import DataError
from radlet.models.prompts import encode_target
from radlet.models.report_model import ReportModel


@dataclass(frozen=True)
class AttentionMap:
    """Attention of a text over one film.

    Attributes:
        tokens: The written tokens, as text; joined they are the text.
        weights: (T, rows, cols) float32; each map sums to 1 over the film.
    """

    tokens: list[str]
    weights: NDArray[np.float32]

    def for_text(self, phrase: str) -> NDArray[np.float32]:
        """Return the mean map (rows, cols) over the tokens of `phrase`, relative to the whole text.

        Some patches draw attention whatever is written (attention sinks); dividing by the mean over the whole text
        leaves what is particular to the phrase.

        Raises:
            DataError: The phrase does not occur in the text.
        """
        text = "".join(self.tokens).lower()
        start = text.find(phrase.strip().lower())
        if start < 0 or not phrase.strip():
            raise DataError("The word or phrase does not occur in the draft; choose one that does.")
        end = start + len(phrase.strip())
        ends = np.cumsum([len(token) for token in self.tokens])
        starts = ends - [len(token) for token in self.tokens]
        chosen = self.weights[(ends > start) & (starts < end)].mean(axis=0)
        relative = chosen / (self.weights.mean(axis=0) + 1e-6)
        return np.asarray(relative / relative.sum(), np.float32)


@torch.inference_mode()
def attend(report_model: ReportModel, prompt: list[int], pixel_values: torch.Tensor, text: str) -> AttentionMap:
    """Return the attention of every token of `text` over the first film of the prompt."""
    model, tokenizer = report_model.model, report_model.tokenizer
    target = encode_target(tokenizer, text)[:-1]
    if not target:
        raise DataError("There is no text to explain.")
    input_ids = torch.tensor([prompt + target], device=model.device)
    # Other attention kernels never form the weights and would return none.
    usual = model.config.text_config._attn_implementation
    model.model.language_model.set_attn_implementation("eager")
    try:
        outputs = model(
            input_ids=input_ids, pixel_values=pixel_values.to(model.device), output_attentions=True, use_cache=False
        )
    finally:
        model.model.language_model.set_attn_implementation(usual)
    layers = outputs.attentions[len(outputs.attentions) // 2 :]
    weights = torch.stack([layer[0].mean(0) for layer in layers]).mean(0)  # (T, T)
    side = math.isqrt(report_model.num_image_tokens)
    first_film = (input_ids[0] == model.config.image_token_id).nonzero()[: report_model.num_image_tokens, 0]
    positions = first_film[-side * side :]  # a class token, if kept, stands before the patches
    predicting = torch.arange(len(prompt) - 1, len(prompt) + len(target) - 1, device=model.device)
    maps = weights[predicting][:, positions].float()
    maps = (maps / maps.sum(-1, keepdim=True).clamp(min=1e-9)).reshape(len(target), side, side)
    return AttentionMap(_token_texts(report_model, target), maps.cpu().numpy())


def _token_texts(report_model: ReportModel, target: list[int]) -> list[str]:
    """Decode prefixes, so that the pieces joined are the text even where a character spans tokens."""
    texts = [report_model.tokenizer.decode(target[:end]) for end in range(len(target) + 1)]
    return [after[len(before) :] for before, after in itertools.pairwise(texts)]
