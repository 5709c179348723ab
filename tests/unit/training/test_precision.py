import sys
from types import SimpleNamespace

import pytest
import torch

from radlet.models.report_model import ReportModel
from radlet.training import heap
from radlet.training.precision import lay_out


def test_a_model_on_a_cpu_keeps_channels_last_and_plain_attention(tiny_report_model: ReportModel) -> None:
    model = tiny_report_model.model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert lay_out(model, torch.device("cpu")) is model
    kernels = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert model.model.language_model.config._attn_implementation == "eager"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("platform", "expected"), [("linux", {(-4, 0), (-1, 2**31 - 1)}), ("win32", set())])
def test_freed_memory_is_kept_where_the_c_library_can(
    monkeypatch: pytest.MonkeyPatch, platform: str, expected: set[tuple[int, int]]
) -> None:
    asked: set[tuple[int, int]] = set()
    library = SimpleNamespace(mallopt=lambda option, value: asked.add((option, value)))
    monkeypatch.setattr(heap, "ctypes", SimpleNamespace(CDLL=lambda _: library))
    monkeypatch.setattr(sys, "platform", platform)
    lay_out(torch.nn.Linear(2, 2), torch.device("cpu"))
    assert asked == expected
