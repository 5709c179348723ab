"""Averaged weights: what they are, that they are judged and delivered, and that a killed run finds them again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from radlet.core.console import Progress
from radlet.core.runs import Run
from radlet.training.ema import WeightAverage
from radlet.training.loop import LoopConfig, Validation, train
from radlet.training.optimizer import build_optimizer


class KilledError(Exception):
    pass


class MortalRun(Run):
    """Dies after it has logged a step."""

    def __init__(self, path: Path, dies_at: int | None = None) -> None:
        super().__init__(path, finished=False)
        self.dies_at = dies_at

    def log(self, **values: Any) -> None:
        super().log(**values)
        if values["step"] == self.dies_at:
            raise KilledError


class Line:
    """Least squares with dropout: everything a step may depend on."""

    num_rows = 8

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.3), nn.Linear(5, 1))

    def row_weights(self) -> None:
        return None

    def row_lengths(self) -> None:
        return None

    def batch(self, rows: np.ndarray, generator: torch.Generator) -> dict[str, torch.Tensor]:
        x = torch.stack([torch.sin(torch.arange(3) + float(row)) for row in rows])
        return {"x": x, "y": x.sum(1, keepdim=True)}

    def units(self, batch: dict[str, torch.Tensor]) -> int:
        return len(batch["x"])

    def losses(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"squares": (self.model(batch["x"]) - batch["y"]).square().sum()}

    def train_mode(self) -> None:
        self.model.train()


def train_line(
    path: Path, dies_at: int | None = None, **changes: object
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return the delivered weights, and the first weight as each validation saw it."""
    path.mkdir(exist_ok=True)
    line = Line()
    settings = {"max_steps": 9, "epochs": 100, "micro_batch_size": 4, "num_evals": 3, "save_every_steps": 2, "lr": 0.05}
    config = LoopConfig(**(settings | {"ema_decay": 0.9, "precision": "fp32"} | changes))
    seen: list[float] = []

    def measure() -> dict[str, float]:
        seen.append(line.model[0].weight[0, 0].item())
        return {"loss": -len(seen)}

    validation = Validation(measure, "loss", higher_is_better=False)
    train(line, config, MortalRun(path, dies_at), 0, validation, Progress(quiet=True))
    return {name: tensor.clone() for name, tensor in line.model.state_dict().items()}, seen


def test_the_average_follows_its_formula_and_comes_in_and_out() -> None:
    model = nn.Linear(2, 1, bias=False)
    optimizer = build_optimizer(model, 0.1, 0.0)
    average = WeightAverage(optimizer, 0.5)
    expected: torch.Tensor | None = None
    for step in range(12):
        model(torch.ones(1, 2) * (step % 3 - 1)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        trained = model.weight.detach().clone()
        expected = trained if expected is None else decay * expected + (1 - decay) * trained
    with average.in_place():
        torch.testing.assert_close(model.weight.detach(), expected)
    assert torch.equal(model.weight, trained)
    average.deliver()
    torch.testing.assert_close(model.weight.detach(), expected)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_what_is_validated_is_what_is_delivered(tmp_path: Path, keep: str) -> None:
    plain, _ = train_line(tmp_path / "plain", ema_decay=None, keep=keep)
    averaged, seen = train_line(tmp_path / "averaged", keep=keep)
    assert averaged["0.weight"][0, 0].item() == pytest.approx(seen[-1], abs=1e-7)  # each validation beat the last
    assert not torch.allclose(averaged["0.weight"], plain["0.weight"], atol=1e-4)


@pytest.mark.parametrize("dies_at", [3, 5, 8])
def test_a_killed_run_ends_with_the_same_averages(tmp_path: Path, dies_at: int) -> None:
    calm, _ = train_line(tmp_path / "calm", keep="last")
    with pytest.raises(KilledError):
        train_line(tmp_path / "killed", dies_at=dies_at, keep="last")
    resumed, _ = train_line(tmp_path / "killed", keep="last")
    assert all(torch.equal(calm[name], resumed[name]) for name in calm)
    shutil.rmtree(tmp_path / "killed" / "training_state")
    without, _ = train_line(tmp_path / "killed", keep="last", max_steps=8)
    assert not torch.equal(calm["0.weight"], without["0.weight"])
