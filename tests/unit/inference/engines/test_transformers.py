import pytest
import torch
from tests.fixtures.tiny import make_report_model

from radlet.inference.engines.base import Sampling
from radlet.inference.engines.transformers import TransformersEngine

REASONS = (None, "Cough.", "Fever and a productive cough for three weeks, evaluate for pneumonia.")


@pytest.mark.parametrize("ends", [False, True], ids=["to the limit", "rows end early"])
def test_the_text_is_that_of_transformers_generate(ends: bool) -> None:
    report_model = make_report_model()
    prompts = [report_model.encode_prompt(report_model.card.prompt.render(1, reason)) for reason in REASONS]
    films = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    engine = TransformersEngine(report_model)
    sampling = Sampling(max_new_tokens=24)
    written = engine.generate(prompts, None, films, sampling)
    if ends:  # a token that some row writes early becomes the end token
        report_model.tokenizer.eos_token = report_model.tokenizer.convert_ids_to_tokens(written[1][2])
        written = TransformersEngine(report_model).generate(prompts, None, films, sampling)
        assert min(map(len, written)) < 3
    end = int(report_model.tokenizer.eos_token_id)
    for prompt, film, ours in zip(prompts, films, written, strict=True):
        theirs = report_model.model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            pixel_values=film[None],
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=end,
        )[0, len(prompt) :].tolist()
        assert ours == (theirs[: theirs.index(end)] if end in theirs else theirs)
