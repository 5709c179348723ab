"""Adapters: small on disk, read by peft itself, tied to their base, merged and stacked exactly."""

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests.fixtures.tiny import make_report_model
from tests.fixtures.tuned import inputs_for, logits, step, tuned

from radlet.core.errors import CheckpointError, ConfigError, UnknownNameError
from radlet.models.adapters import ADAPTER_CARD, AdapterSet, merge_adapters, save_adapter, weights_digest
from radlet.models.freezing import set_trainable
from radlet.models.report_model import load_report_model, save_report_model

KINDS = ["lora", "rslora", "dora", "qlora"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    save_report_model(make_report_model(), folder, None)
    return folder


def train_adapter(
    base: Path, folder: Path, method: str = "lora", num_steps: int = 1, **settings: object
) -> torch.Tensor:
    """Write an adapter and return what the model answered before it was taken apart."""
    report_model, tuning = tuned(method, {"rank": 2, "alpha": 4} | settings)
    for _ in range(num_steps):
        step(report_model)
    save_adapter(report_model, tuning, weights_digest(base), folder)
    return logits(report_model)


@pytest.mark.parametrize("method", KINDS)
def test_an_adapter_over_its_base_is_the_model_that_was_trained(base: Path, tmp_path: Path, method: str) -> None:
    trained = train_adapter(base, tmp_path, method)
    assert torch.equal(logits(AdapterSet(base, {"x": tmp_path}).use("x")), trained)
    merged = merge_adapters(base, [(tmp_path, 1.0)])
    torch.testing.assert_close(logits(merged), trained, atol=2e-6, rtol=1e-4)
    plain = {name: parameter.shape for name, parameter in make_report_model().model.named_parameters()}
    assert {name: parameter.shape for name, parameter in merged.model.named_parameters()} == plain


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_peft_reads_it_without_radlet(base: Path, tmp_path: Path, method: str) -> None:
    trained = train_adapter(base, tmp_path, method)
    model = PeftModel.from_pretrained(load_report_model(base).model, tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(model(**inputs_for(make_report_model())).logits, trained)


def test_only_what_trained_is_stored(base: Path, tmp_path: Path) -> None:
    train_adapter(base, tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    projector = {name for name in names if "multi_modal_projector" in name}
    assert len(projector) == 4
    assert all("lora_" in name and "language_model.layers" in name for name in names.keys() - projector)
    report_model, tuning = tuned("lora", {"rank": 2})
    set_trainable(report_model.model, set())
    save_adapter(report_model, tuning, weights_digest(base), tmp_path / "alone")
    assert all("lora_" in name for name in load_file(tmp_path / "alone" / "adapter_model.safetensors"))


def test_a_trained_encoder_goes_with_the_adapter(base: Path, tmp_path: Path) -> None:
    report_model, tuning = tuned("lora", {"rank": 2})
    for name, parameter in report_model.model.named_parameters():
        if "vision_tower" in name:
            parameter.requires_grad_(True)
    report_model.model.train()  # running statistics move too
    step(report_model)
    save_adapter(report_model, tuning, weights_digest(base), tmp_path)
    trained = logits(report_model)
    assert torch.equal(logits(AdapterSet(base, {"x": tmp_path}).use("x")), trained)
    torch.testing.assert_close(logits(merge_adapters(base, [(tmp_path, 1.0)])), trained, atol=2e-6, rtol=1e-4)


def test_several_share_a_base_and_each_answers_as_it_does_alone(base: Path, tmp_path: Path) -> None:
    alone = {kind: train_adapter(base, tmp_path / kind, kind, number) for number, kind in enumerate(KINDS[:3], 1)}
    together = AdapterSet(base, {kind: tmp_path / kind for kind in alone})
    for kind in [*alone, *reversed(alone)]:
        assert torch.equal(logits(together.use(kind)), alone[kind])
    model = together.use("dora").model
    assert model is together.use("lora").model
    own = sum(p.numel() for p in model.parameters())
    stored = sum(t.numel() for kind in alone for t in load_file(tmp_path / kind / "adapter_model.safetensors").values())
    assert own == sum(p.numel() for p in make_report_model().model.parameters()) + stored
    with pytest.raises(UnknownNameError, match="Did you mean 'dora'"):
        together.use("dorra")


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_stacked_adapters_add_their_changes_by_weight(base: Path, tmp_path: Path, method: str) -> None:
    for number in (1, 2):
        train_adapter(base, tmp_path / str(number), method, number)
    one, two = (merge_adapters(base, [(tmp_path / n, 1.0)]).model.state_dict() for n in "12")
    none = merge_adapters(base, [(tmp_path / "1", 0.0)]).model.state_dict()
    stacked = merge_adapters(base, [(tmp_path / "1", 0.5), (tmp_path / "2", 2.0)]).model.state_dict()
    for name, tensor in stacked.items():
        if not tensor.is_floating_point():
            continue
        expected = none[name] + 0.5 * (one[name] - none[name]) + 2.0 * (two[name] - none[name])
        torch.testing.assert_close(tensor, expected, atol=1e-6, rtol=1e-5)
    if method != "qlora":
        untouched = load_report_model(base).model.state_dict()
        assert all(torch.equal(none[name], untouched[name]) for name in untouched)


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_base_stored_in_bfloat16_is_merged_in_full_precision(tmp_path: Path, weight: float) -> None:
    half = make_report_model()
    half.model.bfloat16()
    save_report_model(half, tmp_path / "base", None)
    report_model, tuning = tuned("lora", {"rank": 2, "alpha": 4}, load_report_model(tmp_path / "base"))
    report_model.model.float()
    before = report_model.model.state_dict()
    before = {name.replace(".base_layer", ""): tensor.clone() for name, tensor in before.items()}
    step(report_model)
    save_adapter(report_model, tuning, weights_digest(tmp_path / "base"), tmp_path / "adapter")
    after = tuning.merge(report_model.model).state_dict()
    merged = merge_adapters(tmp_path / "base", [(tmp_path / "adapter", weight)]).model.state_dict()
    for name, tensor in merged.items():
        assert tensor.dtype == after[name].dtype
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, before[name] + weight * (after[name] - before[name]))


def test_another_base_is_refused_with_both_named(base: Path, tmp_path: Path) -> None:
    train_adapter(base, tmp_path / "adapter")
    other = make_report_model()
    torch.nn.init.zeros_(other.model.lm_head.weight)
    save_report_model(other, tmp_path / "other", None)
    digests = rf"{weights_digest(base)[:12]}.*{weights_digest(tmp_path / 'other')[:12]}"
    with pytest.raises(CheckpointError, match=digests):
        AdapterSet(tmp_path / "other", {"x": tmp_path / "adapter"})
    with pytest.raises(CheckpointError, match=digests):
        merge_adapters(tmp_path / "other", [(tmp_path / "adapter", 1.0)])


def test_adapters_over_different_forms_of_a_base_are_not_mixed(base: Path, tmp_path: Path) -> None:
    train_adapter(base, tmp_path / "plain")
    train_adapter(base, tmp_path / "int8", "qlora")
    with pytest.raises(CheckpointError, match=r"different forms.*\(plain\).*\(int8\)"):
        AdapterSet(base, {"a": tmp_path / "plain", "b": tmp_path / "int8"})


def test_what_is_no_adapter_is_said(base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"no {ADAPTER_CARD}"):
        AdapterSet(base, {"x": tmp_path})
    with pytest.raises(ConfigError, match="needs one"):
        AdapterSet(base, {})
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="radlet merge CHECKPOINT ADAPTER"):
        load_report_model(tmp_path / "run")
    train_adapter(base, tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    (gone, *_) = (name for name in weights if "lora_B" in name)
    save_file({n: t for n, t in weights.items() if n != gone}, tmp_path / "adapter_model.safetensors")
    with (
        pytest.warns(UserWarning, match="missing adapter keys"),
        pytest.raises(CheckpointError, match="1 are missing and 0 left over"),
    ):
        AdapterSet(base, {"x": tmp_path})
    card = json.loads((tmp_path / ADAPTER_CARD).read_text())
    (tmp_path / ADAPTER_CARD).write_text(json.dumps(card | {"colour": "red"}))
    with pytest.raises(CheckpointError, match="cannot be read"):
        AdapterSet(base, {"x": tmp_path})
