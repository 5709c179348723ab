"""The reference engine: transformers' own `generate`, batched with left padding."""

import itertools
from collections.abc import Sequence

import torch
from transformers import GenerationConfig

from radlet.core.errors import ConfigError
from radlet.inference.engines.base import Sampling
from radlet.models.report_model import ReportModel


class TransformersEngine:
    """Generate with transformers."""

    def __init__(self, report_model: ReportModel) -> None:
        self._model = report_model.model
        self._architecture = report_model.architecture
        self._pad = int(report_model.tokenizer.pad_token_id)
        self._ends = report_model.end_token_ids

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        blind_prompts: Sequence[Sequence[int]] | None,
        pixel_values: torch.Tensor | None,
        sampling: Sampling,
    ) -> list[list[int]]:
        """Return the new token ids of each prompt; the answer does not depend on its neighbours in the batch.

        Padding stands on the left, so that every answer follows its prompt directly; positions count from the first
        real token.
        """
        device = self._model.device
        input_ids, attention_mask = self._pad_left(prompts)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        inputs |= self._architecture.text_inputs(self._model, input_ids)
        if pixel_values is not None:
            inputs |= self._architecture.film_inputs(self._model, pixel_values.to(device))
        if blind_prompts is not None:
            self._check_guidable()
            blind_ids, blind_mask = self._pad_left(blind_prompts)
            inputs |= {"negative_prompt_ids": blind_ids, "negative_prompt_attention_mask": blind_mask}
        drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        config = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            pad_token_id=self._pad,
            eos_token_id=list(self._ends),
            guidance_scale=sampling.guidance if blind_prompts is not None else None,
            **(drawn if sampling.temperature else {"do_sample": False}),
        )
        torch.manual_seed(sampling.seed)
        answers = self._model.generate(**inputs, generation_config=config)[:, input_ids.shape[1] :].tolist()
        return [list(itertools.takewhile(lambda token: token not in self._ends, answer)) for answer in answers]

    def _check_guidable(self) -> None:
        if not self._architecture.guidable:
            raise ConfigError(
                f"guidance: a model of type '{self._model.config.model_type}' cannot be guided, for it counts the "
                "positions of prompts with films alone. Use guidance = 1."
            )

    def _pad_left(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(prompt) for prompt in prompts)
        input_ids = torch.full((len(prompts), longest), self._pad)
        attention_mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            attention_mask[row, longest - len(prompt) :] = 1
        return input_ids.to(self._model.device), attention_mask.to(self._model.device)
