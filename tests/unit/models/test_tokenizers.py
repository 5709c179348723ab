"""The tokenizer of language models that were trained elsewhere learns the word for a film."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from radlet.core.errors import CheckpointError
from radlet.models.prompts import encode_target
from radlet.models.tokenizers import IMAGE_TOKEN, add_image_token, lend_unknown_to_image, train_tokenizer


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


def test_a_published_llama_tokenizer_splits_as_sentencepiece_does(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    texts = ["The lungs are clear. No effusion.", "USER: Provide a description ASSISTANT: of the 2 cm  nodule."] * 50
    (tmp_path / "texts").write_text("\n".join(texts))
    # As Llama's was made: bytes for what has no piece, a space in front, digits apart, nothing normalised.
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "texts"),
        model_prefix=str(tmp_path / "tokenizer"),
        model_type="bpe",
        vocab_size=330,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        minloglevel=2,
    )
    (tmp_path / "tokenizer.vocab").unlink()
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer", "legacy": false}')
    published = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    tokenizer = lend_unknown_to_image(tmp_path)
    assert len(tokenizer) == published.get_piece_size()
    before, after = "A chat. USER: ", "\nNo é 2✓  nodule ASSISTANT:"
    wanted = [1, *published.encode(before), 0, 0, *published.encode(after)]
    assert tokenizer(f"{before}<image><image>{after}")["input_ids"] == wanted
    assert (
        published.encode(f"{after} The lungs") == published.encode(after) + encode_target(tokenizer, "The lungs")[:-1]
    )


def test_what_is_no_llama_tokenizer_lends_nothing(tmp_path: Path) -> None:
    train_tokenizer(["no effusion"] * 5, 300).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is no Llama tokenizer with byte fallback"):
        lend_unknown_to_image(tmp_path)
