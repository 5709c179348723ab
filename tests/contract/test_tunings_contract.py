"""What every tuning method promises, whoever wrote it."""

import copy
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import make_report_model

from radlet.models.freezing import part_of, set_trainable
from radlet.models.report_model import ReportModel, load_report_model, save_report_model
from radlet.models.tunings import TUNINGS

METHODS = sorted(TUNINGS)


def inputs_for(report_model: ReportModel) -> dict[str, torch.Tensor]:
    image_ids = torch.full((2, report_model.num_image_tokens), report_model.model.config.image_token_id)
    text_ids = torch.randint(5, 200, (2, 12), generator=torch.Generator().manual_seed(1))
    pixel_values = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    return {"input_ids": torch.cat([image_ids, text_ids], dim=1), "pixel_values": pixel_values}


def tuned(method: str) -> tuple[ReportModel, object]:
    report_model = make_report_model()
    set_trainable(report_model.model, {"projector"})
    tuning = TUNINGS[method]()
    tuning.apply(report_model.model)
    return report_model, tuning


def step(report_model: ReportModel) -> None:
    model = report_model.model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    for _ in range(2):
        model(**inputs_for(report_model)).logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("method", METHODS)
def test_the_output_is_unchanged_at_the_start(method: str) -> None:
    plain = make_report_model()
    report_model, _ = tuned(method)
    inputs = inputs_for(plain)
    with torch.no_grad():
        difference = report_model.model.eval()(**inputs).logits - plain.model(**inputs).logits
    assert difference.abs().max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_declared_moves(method: str) -> None:
    report_model, _ = tuned(method)
    before = {name: p.detach().clone() for name, p in report_model.model.named_parameters()}
    declared = {name for name, p in report_model.model.named_parameters() if p.requires_grad}
    step(report_model)
    moved = {name for name, p in report_model.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved <= declared
    assert any(part_of(name) == "language_model" for name in moved)
    assert any(part_of(name) == "projector" for name in moved)
    assert not any(part_of(name) == "encoder" for name in moved)


@pytest.mark.parametrize("method", METHODS)
def test_merged_equals_unmerged_and_survives_the_disk(method: str, tmp_path: Path) -> None:
    report_model, tuning = tuned(method)
    step(report_model)
    report_model.model.eval()
    inputs = inputs_for(report_model)
    with torch.no_grad():
        unmerged = report_model.model(**inputs).logits
        plain = tuning.merge(report_model.model)
        merged = plain(**inputs).logits
    torch.testing.assert_close(merged, unmerged, atol=2e-4, rtol=1e-4)
    assert {name for name, _ in plain.named_parameters()} == {
        n for n, _ in make_report_model().model.named_parameters()
    }
    save_report_model(ReportModel(plain, report_model.tokenizer, report_model.card), tmp_path, None)
    with torch.no_grad():
        assert torch.equal(load_report_model(tmp_path).model(**inputs).logits, merged)


@pytest.mark.parametrize("method", METHODS)
def test_the_trainable_share_follows_from_the_shapes(method: str) -> None:
    untouched = make_report_model()
    report_model, tuning = tuned(method)
    expected = tuning.num_trainable(copy.deepcopy(untouched.model))
    counted = sum(
        p.numel()
        for name, p in report_model.model.named_parameters()
        if p.requires_grad and part_of(name) != "projector"
    )
    assert counted == expected
