"""Prompt templates of families: data that never changes once published, and what they make of films and questions."""

import hashlib
import json

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from radlet.core.config import load_config
from radlet.core.errors import ConfigError, UnknownNameError
from radlet.models.prompts import PromptConfig, encode_prompt, encode_target
from radlet.models.templates import prompt_templates
from radlet.models.tokenizers import IMAGE_TOKEN, add_image_token
from radlet.stages.finetune import FinetuneConfig

FAMILIES = sorted(prompt_templates())
MARKS = (
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|user|>", "<|assistant|>", "<|end|>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<think>",
    "</think>",
)  # fmt: skip
ASKED = "Provide a description of the findings in the radiology image given the following indication: Cough."


def byte_tokenizer(marks=MARKS):
    """A tokenizer with a token a byte, whose marks stand for themselves."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = Tokenizer(models.BPE({word: number for number, word in enumerate([*marks, *alphabet])}, []))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token="<s>", eos_token="</s>", clean_up_tokenization_spaces=False
    )
    tokenizer.add_special_tokens({"extra_special_tokens": list(marks[2:])})
    add_image_token(tokenizer)
    return tokenizer


TOKENIZER = byte_tokenizer()


def spaced_tokenizer():
    """A tokenizer that puts a space before every text, as LLaMA 2's does."""
    words = ("<s>", "</s>", "▁", "▁The", "▁heart", "▁ASSISTANT:", "?")
    fast = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="?"))
    fast.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    fast.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    return PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokens_read_as_the_published_words(family):
    words, published = PromptConfig(family=family), prompt_templates()[family]
    ids = encode_prompt(TOKENIZER, words.render(2, "Cough."), 3, words=words)
    target = encode_target(TOKENIZER, "The heart\nis enlarged.", words)
    text = published.template.replace("{system}", published.system).replace("{images}", IMAGE_TOKEN * 6)
    begin = "<s>" if published.bos else ""
    answer = published.answer.replace("{answer}", "The heart\nis enlarged.") + (published.end_of_answer or "</s>")
    assert TOKENIZER.decode(ids) == begin + text.replace("{question}", ASKED)
    assert TOKENIZER.decode(target) == answer
    assert ids.count(TOKENIZER.convert_tokens_to_ids(IMAGE_TOKEN)) == 6


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_does_without_a_film(family):
    prompt = PromptConfig(family=family).render(0, None)
    assert IMAGE_TOKEN not in prompt
    assert "{" not in prompt
    assert "\n\n" not in prompt.replace("<|end_header_id|>\n\n", "").replace("<think>\n\n</think>\n\n", "")


def test_a_published_template_never_changes():
    digests = {
        name: hashlib.sha256(
            json.dumps(entry.model_dump(include={"template", "system", "answer", "end_of_answer", "bos"})).encode()
        ).hexdigest()[:10]
        for name, entry in prompt_templates().items()
    }
    assert digests == {
        "vicuna_v1": "3bbbf405dc",
        "plain": "ae54ae25e7",
        "llama2": "04eeac9527",
        "llama3": "d1182814ff",
        "qwen2": "b2ce812caa",
        "qwen2_5": "e902c9dc76",
        "qwen3": "b8eee654d5",
        "phi3": "c274d1190b",
        "phi4": "e8ff731689",
        "phi4_mini": "2e5b793168",
        "gemma3": "1001636303",
        "mistral": "8b83fcd25d",
        "smollm2": "9bfd7a1aa9",
        "completion": "daadf925ef",
    }


def test_a_family_survives_the_card_and_fills_the_recipe():
    words = PromptConfig(family="qwen3", question="What is there?")
    assert PromptConfig.model_validate_json(words.model_dump_json()) == words
    assert words.render(1) == (
        "<|im_start|>user\n<image>\nWhat is there?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


def test_a_family_and_own_words_are_refused():
    with pytest.raises(ConfigError, match=r"family = 'llama3' and an own template and bos are given"):
        load_config(PromptConfig, None, family="llama3", template="{images}", bos=False)


def test_an_unknown_family_is_answered_with_the_nearest():
    recipe = {"examples": "x", "checkpoint": "y", "prompt": {"family": "vicuna"}}
    with pytest.raises(UnknownNameError, match=r"Did you mean 'vicuna_v1'\?"):
        load_config(FinetuneConfig, None, **recipe)


def test_a_family_that_does_not_fit_the_language_model_is_said():
    plain = byte_tokenizer(("<s>", "</s>"))
    with pytest.raises(ConfigError, match="is no token of this language model: it is none of the family 'gemma3'"):
        encode_target(plain, "Clear.", PromptConfig(family="gemma3"))
    plain.bos_token = None
    with pytest.raises(ConfigError, match="has no begin token"):
        encode_prompt(plain, "a", 1, words=PromptConfig(bos=True))


def test_the_answer_is_cut_as_it_stands_behind_the_template():
    tokenizer = spaced_tokenizer()
    joined = encode_target(tokenizer, "The heart", PromptConfig(family="vicuna_v1"))
    apart = encode_target(tokenizer, "The heart", PromptConfig())
    assert tokenizer.convert_ids_to_tokens(apart)[0] == "▁"  # a space too many, which older checkpoints learnt with
    assert joined == apart[1:]
