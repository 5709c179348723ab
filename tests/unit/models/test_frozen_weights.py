import pytest
import torch
from tests.fixtures.tiny import make_report_model
from tests.fixtures.tuned import inputs_for, logits, tuned

from radlet.models.freezing import part_of, set_trainable
from radlet.models.frozen_weights import hold_weights


def num_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("method", ["lora", "dora", "qlora", "full"])
def test_what_is_frozen_takes_half_and_what_trains_stays_exact(method: str, autocast: bool) -> None:
    report_model, _ = tuned(method, {})
    plain = logits(report_model)
    before = num_bytes(report_model.model)
    hold_weights(report_model.model, "bf16")
    assert num_bytes(report_model.model) < (0.85 if method == "qlora" else 0.62) * before
    assert {p.dtype for p in report_model.model.parameters() if p.requires_grad} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        held = logits(report_model).float()
        report_model.model.train()
        report_model.model(**inputs_for(report_model)).logits.float().square().mean().backward()
    torch.testing.assert_close(held, plain, atol=0.1, rtol=0.1)
    gradients = {part_of(n) for n, p in report_model.model.named_parameters() if p.grad is not None}
    assert gradients == {"projector", "language_model"}


def test_a_trained_encoder_before_a_frozen_language_model() -> None:
    report_model = make_report_model()
    set_trainable(report_model.model, {"encoder"})
    hold_weights(report_model.model, "bf16")
    report_model.model(**inputs_for(report_model)).logits.float().mean().backward()
    dtypes = {part_of(n): p.dtype for n, p in report_model.model.named_parameters()}
    assert dtypes == {"encoder": torch.float32, "projector": torch.bfloat16, "language_model": torch.bfloat16}


def test_a_checkpoint_of_half_precision_trains_in_full() -> None:
    model = make_report_model().model.bfloat16()
    hold_weights(model, "fp32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
