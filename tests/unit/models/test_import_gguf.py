"""A language model in llama.cpp's format becomes a folder of transformers with the same weights and words."""

from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import make_report_model

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.models.importers.gguf import import_gguf
from radlet.models.language import load_plain_model

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from radlet.inference.exporters.llama_cpp import LlamaCppExport

    folder = tmp_path_factory.mktemp("export")
    LlamaCppExport(quantization="F32").write(make_report_model(), folder, Progress(quiet=True))
    return folder / "language_model.gguf"


def test_the_folder_holds_what_the_file_holds(packed: Path, tmp_path: Path) -> None:
    original = make_report_model()
    num_parameters = import_gguf(packed, tmp_path / "out")
    model, tokenizer = load_plain_model(tmp_path / "out")
    assert num_parameters == model.num_parameters()
    ids = torch.tensor([original.tokenizer("There is a small left pleural effusion.")["input_ids"]])
    assert tokenizer("There is a small left pleural effusion.")["input_ids"][-5:] == ids[0, -5:].tolist()
    with torch.no_grad():
        expected = original.model(input_ids=ids).logits
        found = model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_other_files_are_refused_and_nothing_is_written(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model")
    (tmp_path / "cut.gguf").write_bytes(packed.read_bytes()[:3000])
    for name, said in (("text.gguf", "no GGUF"), ("cut.gguf", "unpacked"), ("missing.gguf", "cannot be read")):
        with pytest.raises(CheckpointError, match=said):
            import_gguf(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()
