import pytest
import torch
from tests.fixtures.tiny import make_report_model
from tests.fixtures.tuned import inputs_for, tuned

from radlet.models.blocks import restore_blocks
from radlet.models.freezing import is_frozen, set_trainable
from radlet.models.report_model import ReportModel
from radlet.training.checkpointing import checkpoint_blocks


def aligning() -> ReportModel:
    """A model whose language model is frozen, and so in evaluation mode, while gradients pass through it."""
    report_model = make_report_model()
    set_trainable(report_model.model, {"projector"})
    return report_model


def low_rank() -> ReportModel:
    return tuned("lora", {"rank": 4, "dropout": 0.3})[0]


def loss_and_gradients(report_model: ReportModel) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """Return loss, gradients, and how many blocks kept more than their input."""
    model = report_model.model
    model.train()
    for module in model.modules():
        if is_frozen(module):
            module.eval()
    torch.manual_seed(7)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        loss = model(**inputs_for(report_model), use_cache=False).logits.float().square().mean()
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}, sum(kept)


@pytest.mark.parametrize("make", [aligning, low_rank])
def test_loss_and_gradients_are_equal_and_less_is_kept(make) -> None:
    plain, checkpointed = make(), make()
    assert checkpoint_blocks(checkpointed.model) == 3
    loss, gradients, kept = loss_and_gradients(plain)
    same_loss, same_gradients, less = loss_and_gradients(checkpointed)
    assert torch.equal(loss, same_loss)
    assert gradients.keys() == same_gradients.keys()
    assert all(torch.equal(gradients[name], same_gradients[name]) for name in gradients)
    assert less < 0.75 * kept


def test_it_leaves_no_trace() -> None:
    report_model = make_report_model()
    before = {id(m): set(vars(m)) for m in report_model.model.modules()}
    checkpoint_blocks(report_model.model)
    assert {id(m): set(vars(m)) for m in report_model.model.modules()} != before
    restore_blocks(report_model.model)
    assert {id(m): set(vars(m)) for m in report_model.model.modules()} == before
