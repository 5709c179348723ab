"""What every family of language models promises: joined with a tower it is the same model, with radlet or without."""

from pathlib import Path

import pytest
import torch
from tests.fixtures.tiny import ENCODER, REPORTS, SETTINGS, make_card
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlavaForConditionalGeneration
from transformers.pytorch_utils import Conv1D

from radlet.data.images import hf_image_processor_config
from radlet.inference.engines.base import Sampling
from radlet.inference.engines.transformers import TransformersEngine
from radlet.models.language import load_language_model
from radlet.models.language_families import language_families
from radlet.models.report_model import ReportModel, assemble, load_report_model, save_report_model
from radlet.models.templates import prompt_templates
from radlet.models.tokenizers import IMAGE_TOKEN, train_tokenizer

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
PARTICULAR = {
    "phi3": SIZES | {"pad_token_id": 0},
    "qwen3": SIZES | {"head_dim": 8},
    "gemma3_text": SIZES | {"head_dim": 8},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 128},
}
FAMILIES = sorted(language_families())
NUM_UNUSED = 6
"""Rows of the embeddings beyond the tokenizer, as published models have them."""


def published(folder: Path, model_type: str, tied: bool) -> nn.Module:
    """Write a tiny model as it is published: it knows no image token, and the tokenizer pads with its end token."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(REPORTS * 20, 300)
    tokenizer.pad_token = tokenizer.eos_token
    config = AutoConfig.for_model(
        model_type,
        **PARTICULAR.get(model_type, SIZES),
        vocab_size=len(tokenizer) + NUM_UNUSED,
        tie_word_embeddings=tied,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def joined(folder: Path) -> ReportModel:
    language_model, tokenizer = load_language_model(folder)
    torch.manual_seed(1)
    return assemble(ENCODER.build(SETTINGS.size_px), language_model, tokenizer, make_card())


def inputs_for(report_model: ReportModel) -> dict[str, torch.Tensor]:
    ids = report_model.encode_prompt(f"{IMAGE_TOKEN} The heart")
    films = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids)), "pixel_values": films}


@pytest.mark.parametrize(
    ("model_type", "tied"), [*((name, True) for name in FAMILIES), ("llama", False), ("gpt2", False)]
)
def test_a_family_is_the_same_model_with_a_tower_and_without_radlet(model_type, tied, tmp_path):
    alone = published(tmp_path / "published", model_type, tied)
    report_model = joined(tmp_path / "published")
    text = torch.randint(5, 200, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(report_model.model(text).logits, alone(text).logits)  # padded rows and all
    save_report_model(report_model, tmp_path / "joined", hf_image_processor_config(SETTINGS))
    inputs = inputs_for(report_model)
    plain = LlavaForConditionalGeneration.from_pretrained(tmp_path / "joined").eval()
    wanted = plain.generate(**inputs, max_new_tokens=4, do_sample=False)[0, inputs["input_ids"].shape[1] :].tolist()
    engine = TransformersEngine(load_report_model(tmp_path / "joined"))
    prompts = inputs["input_ids"].tolist()
    prompts += [prompts[0] + [7, 8]]
    films = inputs["pixel_values"].repeat(2, 1, 1, 1)
    found = engine.generate(prompts, None, films, Sampling(max_new_tokens=4))
    assert found[0] == [token for token in wanted if token not in report_model.end_token_ids]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_family_learns(model_type, tmp_path):
    published(tmp_path, model_type, tied=False)
    model = joined(tmp_path).model
    inputs = inputs_for(joined(tmp_path))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(6):
        loss = model(**inputs, labels=inputs["input_ids"]).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    still = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    assert not [name for name in still if "language_model" in name or "projector" in name]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_linear_layers_of_the_table_are_those_of_the_model(model_type):
    with torch.device("meta"):
        config = AutoConfig.for_model(model_type, **PARTICULAR.get(model_type, SIZES), vocab_size=50)
        decoder = AutoModelForCausalLM.from_config(config).get_decoder()
    found = {name.rpartition(".")[2] for name, part in decoder.named_modules() if isinstance(part, nn.Linear | Conv1D)}
    assert found == set(language_families()[model_type].linear_layers)


def test_every_template_belongs_to_a_family():
    named = {name for family in language_families().values() for name in family.templates}
    assert named | {"plain"} == set(prompt_templates())
