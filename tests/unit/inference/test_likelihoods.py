from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import SETTINGS

from radlet.data.images import load_pixel_values
from radlet.inference.drafter import Drafter, DraftRequest
from radlet.models.prompts import encode_prompt, encode_target
from radlet.models.report_model import ReportModel

TEXTS = ("There is a small left pleural effusion.", "No.", "The heart is enlarged. No pneumothorax.", "")


def one_by_one(model: ReportModel, request: DraftRequest, text: str, ended: bool) -> tuple[float, int]:
    """Read the whole sequence anew for every token."""
    prompt = model.card.prompt.render(len(request.image_paths), request.indication, request.question)
    ids = encode_prompt(model.tokenizer, prompt, model.num_image_tokens)
    answer = encode_target(model.tokenizer, text)[: None if ended else -1]
    films = [torch.from_numpy(load_pixel_values(path, SETTINGS)) for path in request.image_paths]
    total = 0.0
    for token in answer:
        with torch.inference_mode():
            seen = model.model(input_ids=torch.tensor([ids]), pixel_values=torch.stack(films) if films else None)
        total += float(seen.logits[0, -1].log_softmax(-1)[token])
        ids = [*ids, token]
    return total, len(answer)


@pytest.mark.parametrize("ended", [False, True])
def test_likelihoods_equal_a_loop_over_tokens(
    tiny_report_model: ReportModel, tiny_films: list[Path], ended: bool
) -> None:
    """Prompts and texts of different lengths, with and without films, repeated and not, whatever the batch."""
    alone = DraftRequest((tiny_films[0],), "Fever and a productive cough for three weeks.")
    both = DraftRequest((tiny_films[1],))
    blind = DraftRequest((), question="Is the heart enlarged?")
    pairs = [(request, text) for text in TEXTS for request in (alone, both)] + [(blind, TEXTS[0]), (blind, TEXTS[2])]
    requests, texts = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    expected = np.array([one_by_one(tiny_report_model, *pair, ended) for pair in pairs])
    drafter = Drafter(tiny_report_model)
    for batch_size in (1, 3, 16):
        found = drafter.log_likelihoods(requests, texts, ended=ended, batch_size=batch_size)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len({round(float(value), 3) for value in expected[:6, 0]}) == 6


def test_a_prompt_with_its_films_is_read_once_for_all_its_texts(
    tiny_report_model: ReportModel, tiny_films: list[Path]
) -> None:
    request = DraftRequest((tiny_films[0],))
    films = []
    hook = tiny_report_model.model.model.vision_tower.register_forward_pre_hook(
        lambda _, args, kwargs: films.append(len(args[0] if args else kwargs["pixel_values"])), with_kwargs=True
    )
    Drafter(tiny_report_model).log_likelihoods([replace(request) for _ in TEXTS], TEXTS)
    hook.remove()
    assert films == [1]


def test_nothing_asked_is_nothing_found(tiny_report_model: ReportModel) -> None:
    assert Drafter(tiny_report_model).log_likelihoods([], []).shape == (0, 2)
    with pytest.raises(ValueError, match="shorter"):
        Drafter(tiny_report_model).log_likelihoods([DraftRequest(())], [])
