from functools import partial

import numpy as np
import pytest
import torch
from tests.fixtures.tiny import SETTINGS
from torch._dynamo.testing import CompileCounterWithBackend

from radlet.core.console import Progress
from radlet.core.errors import ConfigError
from radlet.core.records import Example
from radlet.models.blocks import restore_blocks
from radlet.models.freezing import set_trainable
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import ReportModel
from radlet.training.augmentation import AugmentationConfig
from radlet.training.checkpointing import checkpoint_blocks
from radlet.training.compilation import compile_blocks
from radlet.training.films import FilmStore
from radlet.training.reports import ReportObjective, ReportRowsConfig

# By torch itself, about itself, while it traces.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def compile_with(backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trace as ever, but have something other than a C++ compiler make the kernels."""
    torch.compiler.reset()
    monkeypatch.setattr("radlet.training.compilation.torch.compile", partial(torch.compile, backend=backend))


def objective_of(report_model: ReportModel, rows: list[Example]) -> ReportObjective:
    films = FilmStore([path for row in rows for path in row.image_paths], SETTINGS, Progress(quiet=True))
    return ReportObjective(report_model, rows, films, PromptConfig(), ReportRowsConfig(), AugmentationConfig())


def steps(objective: ReportObjective) -> list[dict[str, torch.Tensor]]:
    """Return loss and gradients of three batches of other lengths."""
    found = []
    for rows in ([0, 1, 2], [1, 3, 2], [0, 3, 1]):
        objective.model.zero_grad()
        loss = objective.losses(objective.batch(np.array(rows), torch.Generator()))["language"]
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = {n: p.grad.clone() for n, p in objective.model.named_parameters() if p.grad is not None}
        found.append({"loss": loss.detach(), **gradients})
    return found


@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_numbers_are_the_same_and_one_graph_does_for_every_length(
    checkpointed: bool, tiny_report_model: ReportModel, tiny_examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_trainable(tiny_report_model.model, {"projector", "language_model"})
    tiny_report_model.model.set_attn_implementation("eager")
    objective = objective_of(tiny_report_model, tiny_examples)
    expected = steps(objective)
    counter = CompileCounterWithBackend("eager")
    compile_with(counter, monkeypatch)
    monkeypatch.setattr("radlet.training.compilation._check_compiler", lambda _: None)
    assert compile_blocks(tiny_report_model.model.model.language_model) == 2
    if checkpointed:
        checkpoint_blocks(tiny_report_model.model.model.language_model)
    found = steps(objective)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert counter.frame_count == 1


def test_validation_and_drafting_run_the_blocks_as_written(
    tiny_report_model: ReportModel, tiny_examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("compiled")

    compile_with(refuse, monkeypatch)
    monkeypatch.setattr("radlet.training.compilation._check_compiler", lambda _: None)
    model, objective = tiny_report_model.model, objective_of(tiny_report_model, tiny_examples)
    compile_blocks(model)
    with torch.no_grad():
        objective.losses(objective.batch(np.arange(3), torch.Generator()))
    model.generate(input_ids=torch.tensor([[7, 8, 9]]), max_new_tokens=3, do_sample=False)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_it_leaves_no_trace(
    checkpointed: bool, tiny_report_model: ReportModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_with("eager", monkeypatch)
    modules = list(tiny_report_model.model.modules())
    before = [set(vars(module)) for module in modules]
    compile_blocks(tiny_report_model.model)
    if checkpointed:
        checkpoint_blocks(tiny_report_model.model)
    assert [set(vars(module)) for module in modules] != before
    restore_blocks(tiny_report_model.model)
    assert [set(vars(module)) for module in modules] == before


def test_where_nothing_can_be_compiled_the_error_says_what_to_do(
    tiny_report_model: ReportModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("No working C++ compiler found\nmore")

    compile_with(refuse, monkeypatch)
    before = [set(vars(module)) for module in tiny_report_model.model.modules()]
    with pytest.raises(ConfigError, match=r"loop\.compile = true, .*C\+\+ compiler.* loop\.compile = false"):
        compile_blocks(tiny_report_model.model)
    assert [set(vars(module)) for module in tiny_report_model.model.modules()] == before


@pytest.mark.slow
def test_compiled_kernels_give_the_same_numbers(tiny_report_model: ReportModel, tiny_examples: list[Example]) -> None:
    torch.compiler.reset()
    set_trainable(tiny_report_model.model, {"projector", "language_model"})
    tiny_report_model.model.set_attn_implementation("eager")
    objective = objective_of(tiny_report_model, tiny_examples)
    expected = steps(objective)
    compile_blocks(tiny_report_model.model.model.language_model)
    torch.testing.assert_close(steps(objective), expected, atol=1e-4, rtol=1e-3)
