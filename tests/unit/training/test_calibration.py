import pytest
import torch
from tests.fixtures.tiny import SETTINGS

from radlet.models.report_model import ReportModel
from radlet.training.calibration import calibrate_projector


@pytest.fixture
def films() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(16, 3, SETTINGS.size_px, SETTINGS.size_px, generator=generator)


def seen_and_said(report_model: ReportModel, films: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what the projector's layers read and write, rows flattened."""
    projector = report_model.model.model.multi_modal_projector
    tensors: dict[str, torch.Tensor] = {}
    hooks = [
        projector.register_forward_hook(lambda _, args, out: tensors.update(features=args[0], output=out)),
        projector.linear_1.register_forward_hook(lambda _, __, out: tensors.update(hidden=out)),
    ]
    with torch.no_grad():
        report_model.model.get_image_features(pixel_values=films)
    for hook in hooks:
        hook.remove()
    return {name: tensor.flatten(0, 1) for name, tensor in tensors.items()}


def test_the_output_is_as_large_as_word_embeddings(tiny_report_model: ReportModel, films: torch.Tensor) -> None:
    size = tiny_report_model.model.get_input_embeddings().weight.std().item()
    before = seen_and_said(tiny_report_model, films)["output"].std(0).mean().item()
    assert before != pytest.approx(size, rel=0.1)
    calibrate_projector(tiny_report_model.model, films)
    after = seen_and_said(tiny_report_model, films)
    assert after["output"].std(0).mean().item() == pytest.approx(size, rel=1e-3)
    assert after["hidden"].std().item() == pytest.approx(1.0, rel=1e-3)


def test_the_first_layer_reads_standardised_features(tiny_report_model: ReportModel, films: torch.Tensor) -> None:
    layer = tiny_report_model.model.model.multi_modal_projector.linear_1
    weight, bias = layer.weight.clone(), layer.bias.clone()
    calibrate_projector(tiny_report_model.model, films)
    seen = seen_and_said(tiny_report_model, films)
    standardised = (seen["features"] - seen["features"].mean(0)) / seen["features"].std(0)
    expected = standardised @ weight.T + bias
    torch.testing.assert_close(seen["hidden"], expected / expected.std(), atol=1e-3, rtol=1e-3)


def test_nothing_but_the_projector_moves(tiny_report_model: ReportModel, films: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_report_model.model.state_dict().items()}
    calibrate_projector(tiny_report_model.model, films)
    after = tiny_report_model.model.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved
    assert all("multi_modal_projector" in name for name in moved)
