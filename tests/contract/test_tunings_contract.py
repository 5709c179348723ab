"""What every tuning method promises, whoever wrote it."""

import copy
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import ENCODER, LANGUAGE_MODEL, REPORTS, SETTINGS, make_card, make_report_model
from tests.fixtures.tuned import logits, step, tuned

from radlet.models.freezing import count_by_part, part_of
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.quantised import quantise_blocks
from radlet.models.report_model import ReportModel, assemble, load_report_model, save_report_model
from radlet.models.tunings import TUNINGS

VARIANTS = [
    *(pytest.param(name, {}, id=name) for name in sorted(TUNINGS) if name != "qlora"),
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


@every_variant
def test_the_output_is_unchanged_at_the_start(method: str, settings: dict[str, object]) -> None:
    plain = make_report_model()
    report_model, tuning = tuned(method, settings)
    if tuning.base_quantisation:
        quantise_blocks(plain.model, tuning.base_quantisation)
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


@pytest.mark.parametrize(
    ("family", "method", "settings"),
    [
        *(pytest.param("gpt2", *variant.values, id=f"gpt2-{variant.id}") for variant in VARIANTS),
        pytest.param("phi3", "lora", {}, id="phi3-lora"),
    ],
)
def test_every_family_is_tuned_and_merged(family: str, method: str, settings: dict[str, object]) -> None:
    report_model, tuning = tuned(method, settings, of_family(family))
    assert count_by_part(report_model.model)["language_model"][0] == tuning.num_trainable(of_family(family).model)
    step(report_model)
    unmerged = logits(report_model)
    merged = ReportModel(tuning.merge(report_model.model), report_model.tokenizer, report_model.card)
    torch.testing.assert_close(logits(merged), unmerged, atol=5e-5, rtol=1e-4)
    untouched = {name: p.shape for name, p in of_family(family).model.named_parameters()}
    assert {name: p.shape for name, p in merged.model.named_parameters()} == untouched
