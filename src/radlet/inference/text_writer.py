"""A plain causal language model that goes on from a prompt: no film, no projector, no tuning; for a baseline."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from radlet.models.language import load_plain_model

_STOP = "\n"


class TextWriter:
    """Write one line after each prompt, greedily."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self._model, self._tokenizer = model.eval(), tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token

    @classmethod
    def load(cls, path: Path) -> Self:
        """Load a model and its tokenizer from a local folder.

        Raises:
            CheckpointError: The folder holds no loadable model.
        """
        return cls(*load_plain_model(path))

    def has_room(self, prompt: str, max_new_tokens: int) -> bool:
        """Tell whether a prompt and its answer fit into what the model can read."""
        limit = getattr(self._model.config, "max_position_embeddings", None)
        return limit is None or len(self._tokenizer(prompt)["input_ids"]) + max_new_tokens <= limit

    @torch.inference_mode()
    def write(self, prompts: Sequence[str], *, max_new_tokens: int, batch_size: int) -> list[str]:
        """Return what follows each prompt up to the end of the line."""
        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._tokenizer.eos_token_id,
            stop_strings=[_STOP],
        )
        texts = []
        for start in range(0, len(prompts), batch_size):
            read = self._tokenizer(list(prompts[start : start + batch_size]), padding=True, return_tensors="pt")
            inputs = {name: read[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
            written = self._model.generate(**inputs, generation_config=config, tokenizer=self._tokenizer)
            answers = self._tokenizer.batch_decode(written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
            texts += [answer.split(_STOP, 1)[0].strip() for answer in answers]
        return texts
