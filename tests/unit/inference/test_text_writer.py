from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from radlet.core.errors import CheckpointError
from radlet.inference.text_writer import TextWriter
from radlet.models.tokenizers import train_tokenizer

PROMPTS = ["Findings:", "Reason for the exam: cough\nFindings:", "The heart is enlarged. Findings:"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tokenizer = train_tokenizer(["The heart is enlarged.", "Reason for the exam: cough\nFindings: clear."] * 20, 300)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_answers_are_one_line_and_do_not_depend_on_their_neighbours(folder: Path) -> None:
    writer = TextWriter.load(folder)
    together = writer.write(PROMPTS, max_new_tokens=12, batch_size=3)
    assert together == writer.write(PROMPTS, max_new_tokens=12, batch_size=1)
    assert len(together) == 3
    assert any(together)
    assert not any("\n" in text for text in together)
    assert writer.write([], max_new_tokens=12, batch_size=3) == []


def test_a_prompt_has_room_up_to_what_the_model_can_read(folder: Path) -> None:
    writer = TextWriter.load(folder)
    assert writer.has_room("Findings:", 12)
    assert not writer.has_room("Findings:", 64)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no language model"):
        TextWriter.load(tmp_path)
