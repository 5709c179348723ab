from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.fixtures.tiny import make_report_model

from radlet.core.errors import CheckpointError
from radlet.models.freezing import part_of
from radlet.models.frozen_loading import FrozenForm
from radlet.models.language import LanguageModelConfig
from radlet.models.loading import read_weights
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.quantised import quantise_blocks, quantised_layers
from radlet.models.report_model import load_report_model, save_report_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_report_model(make_report_model(), tmp_path, None)
    return tmp_path


@pytest.mark.parametrize("form", sorted(QUANTISATIONS))
def test_quantised_while_read_is_quantised_afterwards(form: str, folder: Path) -> None:
    read = load_report_model(folder, FrozenForm(form)).model
    afterwards = load_report_model(folder).model
    quantise_blocks(afterwards, form)
    assert [name for name, _ in quantised_layers(read)] == [name for name, _ in quantised_layers(afterwards)]
    expected = afterwards.state_dict()
    assert read.state_dict().keys() == expected.keys()
    for name, tensor in read.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.dtype == expected[name].dtype
    assert not any(tensor.is_meta for tensor in read.state_dict().values())


def test_the_model_does_not_take_itself_for_a_quantised_one(folder: Path) -> None:
    model = load_report_model(folder, FrozenForm("int8")).model
    plain = load_report_model(folder).model
    assert model.config.to_dict() == plain.config.to_dict()
    assert not getattr(model, "is_quantized", False)
    assert not hasattr(model, "hf_quantizer")


def test_frozen_parts_are_rounded_while_read_and_the_others_are_not(folder: Path) -> None:
    model = load_report_model(folder, FrozenForm(bf16_parts=frozenset({"encoder", "language_model"}))).model
    plain = load_report_model(folder).model.state_dict()
    dtypes: dict[str, set[torch.dtype]] = {}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, plain[name].to(parameter.dtype))
        dtypes.setdefault(part_of(name), set()).add(parameter.dtype)
    assert dtypes["projector"] == {torch.float32}
    assert dtypes["language_model"] == {torch.bfloat16}
    assert torch.bfloat16 in dtypes["encoder"]
    statistics = [name for name, _ in model.named_buffers() if "running" in name]
    assert all(model.state_dict()[name].dtype == torch.float32 for name in statistics)


@pytest.mark.parametrize("change", ["gone", "other shape", "too many"])
def test_a_quantised_weight_that_does_not_fit_is_refused(change: str, folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    name = next(name for name in tensors if name.endswith("layers.1.mlp.up_proj.weight"))
    if change == "gone":
        del tensors[name]
    elif change == "other shape":
        tensors[name] = tensors[name][:-1].contiguous()
    else:
        tensors[name.replace("layers.1", "layers.7")] = tensors[name].clone()
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"the weights do not fit.*up_proj"):
        load_report_model(folder, FrozenForm("int8"))


def test_transposed_layers_and_biases_are_taken_too(tmp_path: Path) -> None:
    options = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    model, _ = LanguageModelConfig(model_type="gpt2", options=options, vocab_size=300).build(lambda: ["The heart."] * 9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.save_pretrained(tmp_path)
    read, _ = read_weights(type(model), tmp_path, "language model", FrozenForm("int8"))
    quantise_blocks(model, "int8")
    ids = torch.arange(12)[None]
    torch.testing.assert_close(read(ids).logits, model.eval()(ids).logits, atol=0, rtol=0)
