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
