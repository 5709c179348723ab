"""What every tuning method promises, whoever wrote it."""

import copy
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, REPORTS, SETTINGS, make_card, make_report_model

from radlet.core.config import load_config
from radlet.models.freezing import count_by_part, part_of, set_trainable
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.report_model import ReportModel, assemble, load_report_model, save_report_model
from radlet.models.tunings import TUNINGS
from radlet.models.tunings.base import Tuning

VARIANTS = [
    *(pytest.param(name, {}, id=name) for name in sorted(TUNINGS)),
    *(pytest.param("qlora", {"quantisation": form}, id=f"qlora-{form}") for form in sorted(QUANTISATIONS)),
]
FAMILIES = {
    "llama": LANGUAGE_MODEL,
    "gpt2": LANGUAGE_MODEL.model_copy(
        update={
            "model_type": "gpt2",
            "options": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256, "tie_word_embeddings": False},
        }
    ),
    "phi3": LANGUAGE_MODEL.model_copy(update={"model_type": "phi3"}),
}
every_variant = pytest.mark.parametrize(("method", "settings"), VARIANTS)


def of_family(family: str) -> ReportModel:
    """Return a report model whose language model is of another family."""
    torch.manual_seed(0)
    language_model, tokenizer = FAMILIES[family].build(lambda: REPORTS * 20)
    model = assemble(ENCODER.build(SETTINGS.size_px), language_model, tokenizer, make_card())
    with torch.no_grad():
        for parameter in model.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)
    return model


def inputs_for(report_model: ReportModel) -> dict[str, torch.Tensor]:
    image_ids = torch.full((2, report_model.num_image_tokens), report_model.model.config.image_token_id)
    text_ids = torch.randint(5, 200, (2, 12), generator=torch.Generator().manual_seed(1))
    pixel_values = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    return {"input_ids": torch.cat([image_ids, text_ids], dim=1), "pixel_values": pixel_values}


def tuned(
    method: str, settings: dict[str, object], report_model: ReportModel | None = None
) -> tuple[ReportModel, Tuning]:
    report_model = report_model or make_report_model()
    set_trainable(report_model.model, {"projector"})
    tuning = load_config(TUNINGS[method], None, **settings)
    tuning.apply(report_model.model)
    return report_model, tuning


def step(report_model: ReportModel) -> None:
    model = report_model.model
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    for _ in range(2):
        model(**inputs_for(report_model)).logits.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def logits(report_model: ReportModel) -> torch.Tensor:
    with torch.no_grad():
        return report_model.model.eval()(**inputs_for(report_model)).logits


@every_variant
def test_the_output_is_unchanged_at_the_start(method: str, settings: dict[str, object]) -> None:
    plain = make_report_model()
    report_model, tuning = tuned(method, settings)
    tuning.prepare(plain.model)
    assert torch.equal(logits(report_model), logits(plain))


@every_variant
def test_only_what_is_declared_moves(method: str, settings: dict[str, object]) -> None:
    report_model, _ = tuned(method, settings)
    before = {name: p.detach().clone() for name, p in report_model.model.named_parameters()}
    declared = {name for name, p in report_model.model.named_parameters() if p.requires_grad}
    step(report_model)
    moved = {name for name, p in report_model.model.named_parameters() if not torch.equal(p, before[name])}
    assert moved <= declared
    assert any(part_of(name) == "language_model" for name in moved)
    assert any(part_of(name) == "projector" for name in moved)
    assert not any(part_of(name) == "encoder" for name in moved)


@every_variant
def test_merged_equals_unmerged_and_survives_the_disk(method: str, settings: dict[str, object], tmp_path: Path) -> None:
    report_model, tuning = tuned(method, settings)
    step(report_model)
    unmerged = logits(report_model)
    merged = ReportModel(tuning.merge(report_model.model), report_model.tokenizer, report_model.card)
    torch.testing.assert_close(logits(merged), unmerged, atol=2e-5, rtol=1e-4)
    plain = {name: p.shape for name, p in make_report_model().model.named_parameters()}
    assert {name: p.shape for name, p in merged.model.named_parameters()} == plain
    save_report_model(merged, tmp_path, None)
    assert torch.equal(logits(load_report_model(tmp_path)), logits(merged))


@every_variant
def test_the_trainable_share_follows_from_the_shapes(method: str, settings: dict[str, object]) -> None:
    untouched = make_report_model()
    report_model, tuning = tuned(method, settings)
    expected = tuning.num_trainable(copy.deepcopy(untouched.model))
    assert count_by_part(report_model.model)["language_model"][0] == expected


@pytest.mark.parametrize("family", ["gpt2", "phi3"])
@every_variant
def test_every_family_is_tuned_and_merged(method: str, settings: dict[str, object], family: str) -> None:
    report_model, tuning = tuned(method, settings, of_family(family))
    assert count_by_part(report_model.model)["language_model"][0] == tuning.num_trainable(of_family(family).model)
    step(report_model)
    unmerged = logits(report_model)
    merged = ReportModel(tuning.merge(report_model.model), report_model.tokenizer, report_model.card)
    torch.testing.assert_close(logits(merged), unmerged, atol=5e-5, rtol=1e-4)
    untouched = {name: p.shape for name, p in of_family(family).model.named_parameters()}
    assert {name: p.shape for name, p in merged.model.named_parameters()} == untouched
