from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, REPORTS, SETTINGS, make_card
from transformers import PreTrainedModel

from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.models.freezing import set_trainable
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel, assemble
from radlet.training.augmentation import AugmentationConfig
from radlet.training.films import FilmStore
from radlet.training.loop import Batch
from radlet.training.packing import ATTENTION, FAMILIES, FUSED_ATTENTION, PackedRows
from radlet.training.reports import ReportObjective, ReportRowsConfig

# What differs from the tiny Llama; grouped heads and windows where the family has them.
OPTIONS: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 1},
    "mistral": {"num_key_value_heads": 1, "sliding_window": 9},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "phi3": {"sliding_window": 9, "num_key_value_heads": 2},
}


def report_model_of(family: str) -> ReportModel:
    """Return a tiny report model whose decoder is of a family."""
    torch.manual_seed(0)
    options = LANGUAGE_MODEL.options | OPTIONS[family]
    config = LANGUAGE_MODEL.model_copy(update={"model_type": family, "options": options})
    language_model, tokenizer = config.build(lambda: REPORTS * 20)
    model = assemble(ENCODER.build(SETTINGS.size_px), language_model, tokenizer, make_card())
    for parameter in model.model.model.language_model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(3.0)
    return model


def objective_of(report_model: ReportModel, rows: list[Example]) -> ReportObjective:
    films = FilmStore([path for row in rows for path in row.image_paths], SETTINGS, Progress(quiet=True))
    return ReportObjective(report_model, rows, films, PromptConfig(), ReportRowsConfig(), AugmentationConfig())


def step(objective: ReportObjective, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    objective.model.zero_grad()
    loss = objective.losses(batch)["language"] / objective.units(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {n: p.grad.clone() for n, p in objective.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("kernel", "packed_kernel"), [("eager", ATTENTION), ("sdpa", FUSED_ATTENTION)])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_packed_rows_give_the_loss_and_gradients_of_padded_ones(
    family: str, kernel: str, packed_kernel: str, tiny_examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    report_model = report_model_of(family)
    report_model.model.model.language_model.set_attn_implementation(kernel)
    set_trainable(report_model.model, {"projector", "language_model"})
    # More rows than one grid holds; a row without films and one of a film twice among them.
    twice = tiny_examples[2].model_copy(update={"image_paths": tiny_examples[2].image_paths * 2, "views": ("PA", "PA")})
    rows = [*tiny_examples, *tiny_examples, tiny_examples[0].model_copy(update={"image_paths": (), "views": ()}), twice]
    chosen = np.arange(len(rows))
    packed = objective_of(report_model, rows)
    monkeypatch.setattr("radlet.training.reports.can_pack", lambda _: False)
    padded = objective_of(report_model, rows)
    expected_batch, batch = (o.batch(chosen, torch.Generator()) for o in (padded, packed))
    assert expected_batch["input_ids"].shape[0] == len(rows)
    assert batch["input_ids"].shape == (1, expected_batch["attention_mask"].sum())
    expected_loss, expected = step(padded, expected_batch)
    loss, gradients = step(packed, batch)
    assert report_model.model.model.language_model.config._attn_implementation == packed_kernel
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    largest = max(gradient.abs().max() for gradient in expected.values())
    torch.testing.assert_close(gradients, expected, atol=1e-5 * float(largest), rtol=1e-4)
    again_loss, again = step(padded, expected_batch)  # by the packed kind of attention, as validation drafts
    assert again_loss == pytest.approx(expected_loss, rel=1e-5)
    torch.testing.assert_close(again, expected, atol=1e-5 * float(largest), rtol=1e-4)


def test_no_row_sees_another(tiny_report_model: ReportModel, tiny_examples: list[Example]) -> None:
    objective = objective_of(tiny_report_model, tiny_examples)
    batch = objective.batch(np.arange(4), torch.Generator())
    language_model = tiny_report_model.model.model.language_model
    seen: list[torch.Tensor] = []
    hook = language_model.register_forward_hook(lambda *given: seen.append(given[-1].last_hidden_state))
    first = int(batch["lengths"][0])
    for change in (0, 1):
        with torch.no_grad():
            batch["input_ids"][0, first - 1] = 5 + change
            objective.losses(batch)
    hook.remove()
    before, after = (states[0] for states in seen)
    assert not torch.equal(before[first - 1], after[first - 1])
    torch.testing.assert_close(before[first:], after[first:], atol=0, rtol=0)
    torch.testing.assert_close(before[: first - 1], after[: first - 1], atol=0, rtol=0)


def test_a_model_that_is_not_known_to_pack_is_padded(
    tiny_report_model: ReportModel, tiny_examples: list[Example]
) -> None:
    tiny_report_model.model.config.text_config.model_type = "gemma2"
    batch = objective_of(tiny_report_model, tiny_examples).batch(np.arange(3), torch.Generator())
    assert "lengths" not in batch
    assert batch["attention_mask"].shape[0] == 3


@pytest.mark.parametrize("lengths", [[3], [5, 2, 7], list(range(1, 21))], ids=["one", "three", "many"])
def test_grids_hold_every_token_once(lengths: list[int]) -> None:
    rows = PackedRows.of(lengths, torch.device("cpu"))
    tokens = torch.arange(sum(lengths))
    assert torch.equal(rows.flat[rows.places], tokens)
    assert torch.equal(rows.flat[rows.flat >= 0], tokens)
    assert [len(row[row >= 0]) for grid in rows.grids for row in grid] == lengths


@pytest.mark.parametrize("kernel", [ATTENTION, FUSED_ATTENTION])
def test_generation_is_the_same_under_either_attention(
    kernel: str, tiny_report_model: ReportModel, tiny_examples: list[Example]
) -> None:
    model: PreTrainedModel = tiny_report_model.model
    ids = torch.tensor([[7, 8, 9, 10], [7, 8, 11, 12]])
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    write: Callable[[], torch.Tensor] = lambda: model.generate(  # noqa: E731
        input_ids=ids, attention_mask=mask, max_new_tokens=6, do_sample=False
    )
    expected = write()
    model.model.language_model.set_attn_implementation(kernel)
    assert torch.equal(write(), expected)
