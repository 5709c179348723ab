import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import nn

from radlet.models.prompts import IGNORED
from radlet.training.losses.contrastive import contrastive
from radlet.training.losses.labels import label_cross_entropy
from radlet.training.losses.language import next_token_cross_entropy

SCALE = torch.tensor(math.log(10.0))


def units(*rows: list[float]) -> torch.Tensor:
    return F.normalize(torch.tensor(rows), dim=-1)


def test_contrastive_equals_the_published_form_when_all_texts_differ() -> None:
    images, texts = units([1.0, 0.2], [0.1, 1.0], [-1.0, 0.4]), units([0.9, 0.1], [0.3, 1.0], [-0.8, 0.1])
    logits = 10.0 * images @ texts.T
    answers = torch.arange(3)
    expected = (F.cross_entropy(logits, answers) + F.cross_entropy(logits.T, answers)) / 2
    assert contrastive(images, texts, SCALE, answers) / 3 == pytest.approx(expected.item(), rel=1e-5)


def test_contrastive_does_not_push_equal_texts_apart() -> None:
    embeddings = units([1.0, 0.0], [1.0, 0.0]).requires_grad_()
    contrastive(embeddings, embeddings.detach(), SCALE, torch.tensor([0, 0])).backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().max() == pytest.approx(0.0, abs=1e-6)


def test_labels_leave_unknown_ones_out() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    targets = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    weight = torch.ones(2)
    by_hand = F.softplus(torch.tensor(-2.0)) + (F.softplus(torch.tensor(0.5)) + F.softplus(torch.tensor(-3.0))) / 2
    assert label_cross_entropy(logits, targets, weight) == pytest.approx(by_hand.item(), rel=1e-6)
    assert label_cross_entropy(logits, torch.full((2, 2), float("nan")), weight) == 0


def test_language_sums_over_supervised_positions_alone() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(2, 5, 4), nn.Linear(4, 7)
    labels = torch.tensor([[IGNORED, IGNORED, 3, 2, 1], [IGNORED, 5, 6, IGNORED, IGNORED]])
    logits = head(hidden)
    expected = sum(
        F.cross_entropy(logits[row, position - 1], labels[row, position]).item()
        for row in range(2)
        for position in range(1, 5)
        if labels[row, position] != IGNORED
    )
    assert next_token_cross_entropy(hidden, labels, head).item() == pytest.approx(expected, rel=1e-5)


def full_loss(hidden: torch.Tensor, labels: torch.Tensor, head: nn.Module) -> torch.Tensor:
    """The sum with every logit at once, as the textbook writes it."""
    return F.cross_entropy(head(hidden[:, :-1]).float().flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")


class Adapted(nn.Linear):
    """A head that is more than its matrix."""

    def __init__(self) -> None:
        super().__init__(8, 31, bias=False)
        self.weight = nn.Parameter(self.weight.detach().T.contiguous())  # stored in a form of its own

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states @ self.weight


@pytest.mark.parametrize(
    ("kind", "frozen"),
    [(kind, frozen) for kind in ("plain", "biased", "adapted") for frozen in (False, True)] + [("tied", False)],
)
def test_language_in_chunks_equals_the_full_logits(kind: str, frozen: bool) -> None:
    torch.manual_seed(0)
    head = Adapted() if kind == "adapted" else nn.Linear(8, 31, bias=kind == "biased")
    head.requires_grad_(not frozen)
    table = nn.Embedding(31, 8)
    if kind == "tied":
        table.weight = head.weight
    labels = torch.randint(0, 31, (3, 9))
    labels[:, :4] = IGNORED
    found = []
    for loss_of in (full_loss, lambda *given: next_token_cross_entropy(*given, max_logits=31 * 4)):
        head.zero_grad()
        table.zero_grad()
        hidden = torch.tanh(table(labels.clamp(min=0)))
        loss = loss_of(hidden, labels, head)
        (loss / 7).backward()
        found.append((loss.detach(), table.weight.grad, *(p.grad for p in head.parameters())))
    for expected, chunked in zip(*found, strict=True):
        torch.testing.assert_close(chunked, expected, atol=1e-5, rtol=1e-5)


def test_language_in_chunks_follows_autocast() -> None:
    torch.manual_seed(0)
    head, labels = nn.Linear(64, 97, bias=False), torch.randint(0, 97, (2, 30))
    grads = []
    for loss_of in (full_loss, lambda *given: next_token_cross_entropy(*given, max_logits=97 * 10)):
        head.zero_grad()
        hidden = torch.randn(2, 30, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(hidden, labels, head) / 58
        loss.backward()
        assert hidden.grad is not None and hidden.grad.dtype == torch.float32
        grads.append((loss.detach(), hidden.grad, head.weight.grad))
    for full, chunked in zip(*grads, strict=True):
        assert (full - chunked).norm() < 0.01 * full.norm()  # bfloat16 itself is good to 0.4 %


def test_language_keeps_the_logits_of_some_positions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    linear = F.linear

    def watched(*given: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        logits = linear(*given)
        largest = max(largest, logits.numel())
        return logits

    monkeypatch.setattr(F, "linear", watched)
    hidden, head = torch.randn(2, 50, 4, requires_grad=True), nn.Linear(4, 300)
    next_token_cross_entropy(hidden, torch.randint(0, 300, (2, 50)), head, max_logits=3000).backward()
    assert largest == 3000


def test_language_without_gradients_or_positions() -> None:
    hidden, head = torch.randn(1, 3, 4), nn.Linear(4, 7)
    with torch.no_grad():
        assert next_token_cross_entropy(hidden, torch.tensor([[1, 2, 3]]), head) > 0
    nothing = next_token_cross_entropy(hidden.requires_grad_(), torch.full((1, 3), IGNORED), head)
    nothing.backward()
    assert nothing == 0


def test_language_is_differentiated_once() -> None:
    hidden = torch.randn(1, 3, 4, requires_grad=True)
    loss = next_token_cross_entropy(hidden, torch.tensor([[1, 2, 3]]), nn.Linear(4, 7))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        loss.backward()
