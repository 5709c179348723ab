"""The tokenizer of language models that were trained elsewhere learns the word for a film."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from radlet.models.tokenizers import IMAGE_TOKEN, add_image_token, train_tokenizer


@pytest.fixture
def foreign(tmp_path):
    """A tokenizer as it is loaded from a folder: it has marks of a chat, and neither the image token nor padding."""
    words = {word: number for number, word in enumerate(("<|end|>", "<|turn|>", "heart", "lungs", "?"))}
    fast = Tokenizer(models.WordLevel(words, unk_token="?"))
    fast.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    saved = PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|end|>", unk_token="?")
    saved.add_special_tokens({"extra_special_tokens": ["<|turn|>"]})
    saved.save_pretrained(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)


def test_a_loaded_tokenizer_learns_the_image_token(foreign):
    before = len(foreign)

    token = add_image_token(foreign)

    assert token == before
    assert foreign.pad_token_id == foreign.eos_token_id
    assert foreign.encode(f"{IMAGE_TOKEN} heart {IMAGE_TOKEN}", add_special_tokens=False) == [token, 2, token]
    assert foreign.decode([token, 2, 1], skip_special_tokens=True).strip() == "heart"  # the chat's mark is still one


def test_it_learns_the_token_once_and_keeps_it_on_disk(foreign, tmp_path):
    token = add_image_token(foreign)
    foreign.save_pretrained(tmp_path / "again")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "again", local_files_only=True)

    assert add_image_token(loaded) == token
    assert len(loaded) == len(foreign)


def test_our_own_tokenizer_knows_it_from_the_start():
    own = train_tokenizer(["the heart is not enlarged"], 300)
    before = len(own)

    assert own.encode(IMAGE_TOKEN, add_special_tokens=False) == [add_image_token(own)]
    assert len(own) == before
