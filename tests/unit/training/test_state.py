import json

import pytest
import torch
from torch import nn

from radlet.core.errors import CheckpointError
from radlet.core.runs import Run
from radlet.training.state import StateStore, TrainingState


def make_store(run: Run) -> StateStore:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return StateStore(run, model, optimizer)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path, finished=False)


@pytest.fixture
def saved(run):
    """A run that was killed after step 4, with a state of step 3."""
    store = make_store(run)
    store.save_best()
    store.save(TrainingState(step=3, best_step=2, best_value=0.5))
    for step in (1, 2, 3, 4):
        run.log(step=step, note="a\u2028b")
    return run


def metrics(run):
    return [json.loads(line)["step"] for line in (run.path / "metrics.jsonl").read_text().split("\n") if line]


def test_a_state_is_found_again_and_later_metrics_are_dropped(saved):
    assert make_store(saved).resume() == TrainingState(step=3, best_step=2, best_value=0.5)
    assert metrics(saved) == [1, 2, 3]


@pytest.mark.parametrize("tail", [b'{"step": 3, "no', b'{"step": 3, "note": "\xc3', b"\xff\xfe"])
def test_a_torn_last_line_of_the_metrics_is_dropped(saved, tail):
    with (saved.path / "metrics.jsonl").open("ab") as file:
        file.write(tail)
    make_store(saved).resume()
    assert metrics(saved) == [1, 2, 3]


def test_metrics_keep_their_lines_whole(saved):
    text = '{"step": 2, "note": "a\u2028b\u2029c"}\n'
    (saved.path / "metrics.jsonl").write_text(text, encoding="utf-8")
    make_store(saved).resume()
    assert (saved.path / "metrics.jsonl").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors"])
@pytest.mark.parametrize("left", [0, 9, -1])
def test_a_damaged_state_says_how_to_go_on(saved, name, left):
    file = saved.path / "training_state" / "step-00000003" / name
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"training_state: the saved state is damaged .* Remove the folder"):
        make_store(saved).resume()


def test_damaged_best_weights_say_how_to_go_on(saved):
    file = saved.path / "training_state" / "best.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="is damaged"):
        make_store(saved).load_best()
