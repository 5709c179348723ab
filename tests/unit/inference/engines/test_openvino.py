import importlib.util
from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import make_report_model

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.inference.engines.base import Sampling
from radlet.inference.engines.openvino import OpenVinoEngine
from radlet.inference.engines.transformers import TransformersEngine, _TorchReader
from radlet.inference.exporters.openvino import LANGUAGE_MODEL, OpenVinoExport
from radlet.inference.exports import Export, ExportedModel, Source
from radlet.models.report_model import ReportModel

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs the extra openvino")

REASONS = (None, "Cough.", "Fever and a productive cough for three weeks, evaluate for pneumonia.")
BOUNDS = {"none": 1e-5, "int8": 0.03}
"""Largest difference of a logit from transformers, whose logits here have a standard deviation of 0.24."""


@pytest.fixture(scope="module")
def report_model() -> ReportModel:
    return make_report_model()


def exported(report_model: ReportModel, folder: Path, **options: str) -> ExportedModel:
    OpenVinoExport(**options).write(report_model, folder, Progress(quiet=True))
    source = Source(path=folder, digest="")
    record = Export(
        engine="openvino",
        options=options,
        source=source,
        num_image_tokens=report_model.num_image_tokens,
        end_token_ids=report_model.end_token_ids,
    )
    return ExportedModel(folder, record, report_model.card, report_model.tokenizer)


def inputs(report_model: ReportModel, films: int = 1) -> tuple[list[list[int]], torch.Tensor]:
    prompts = [report_model.encode_prompt(report_model.card.prompt.render(films, reason)) for reason in REASONS]
    return prompts, torch.randn(3 * films, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quantization", list(BOUNDS))
def test_logits_are_within_their_bound_of_transformers_also_after_rows_are_dropped(
    report_model: ReportModel, tmp_path: Path, quantization: str
) -> None:
    engine = OpenVinoEngine.load(exported(report_model, tmp_path, quantization=quantization))
    prompts, films = inputs(report_model)
    with torch.inference_mode():
        theirs, ours = _TorchReader(report_model, prompts, films, 4), engine._reader(prompts, films)
        assert (theirs.read() - ours.read()).abs().max() < BOUNDS[quantization]
        kept = torch.tensor([0, 2])
        for reader in (theirs, ours):
            reader.keep(kept)
        for tokens in (torch.tensor([7, 9]), torch.tensor([11, 7])):
            assert (theirs.step(tokens) - ours.step(tokens)).abs().max() < BOUNDS[quantization]


def test_several_films_guidance_and_prompts_without_films_read_as_in_transformers(
    report_model: ReportModel, tmp_path: Path
) -> None:
    theirs, ours = (
        TransformersEngine(report_model),
        OpenVinoEngine.load(exported(report_model, tmp_path, quantization="none")),
    )
    prompts, films = inputs(report_model, films=2)
    blind = [report_model.encode_prompt(report_model.card.prompt.render(0, reason)) for reason in REASONS]
    for asked in (
        (prompts, None, films, Sampling(max_new_tokens=12)),
        (prompts, blind, films, Sampling(max_new_tokens=12, guidance=2.0)),
        (blind, None, None, Sampling(max_new_tokens=12)),
    ):
        assert ours.generate(*asked) == theirs.generate(*asked)


def test_a_window_is_refused_by_name(report_model: ReportModel, tmp_path: Path) -> None:
    config = report_model.model.config.text_config
    config.layer_types = ["sliding_attention"] * config.num_hidden_layers
    try:
        with pytest.raises(CheckpointError, match="sliding windows"):
            OpenVinoExport().write(report_model, tmp_path, Progress(quiet=True))
    finally:
        config.layer_types = None


def test_a_file_that_is_no_graph_is_refused(report_model: ReportModel, tmp_path: Path) -> None:
    folder = exported(report_model, tmp_path, quantization="none")
    (tmp_path / LANGUAGE_MODEL).write_text("<net/>")
    with pytest.raises(CheckpointError, match="Export the checkpoint again"):
        OpenVinoEngine.load(folder)
