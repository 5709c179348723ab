"""The tokenizer of a language model trained from scratch: byte-level BPE learnt on the site's own reports."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from radlet.core.errors import CheckpointError

IMAGE_TOKEN = "<image>"  # noqa: S105 - the word for a film in a prompt, not a secret


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary of at most `vocab_size` entries; every text can be encoded and decoded back."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<pad>", "<s>", "</s>", IMAGE_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",  # noqa: S106
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        clean_up_tokenization_spaces=False,
    )


def add_image_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Make sure the tokenizer knows the image token and a padding token; return the image token's id."""
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        # Those that the tokenizer came with, such as the marks of its chat, stay special.
        tokenizer.add_special_tokens({"extra_special_tokens": [IMAGE_TOKEN]}, replace_extra_special_tokens=False)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


def lend_unknown_to_image(folder: Path) -> PreTrainedTokenizerBase:
    r"""Load a Llama tokenizer whose unknown token is the image token: no id is added, and no other one changes.

    With byte fallback every text has pieces, so the unknown token never comes out of one, and its row of embeddings
    is free. The text before and after an image token is split by itself, each with the space that Llama puts before a
    text: LLaVA's rule, under which `"<image>\nFindings"` gives the space, the line break, and so on.

    Args:
        folder: Of the language model.

    Raises:
        CheckpointError: The folder holds no Llama tokenizer with byte fallback.
    """
    try:
        published = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        state = json.loads(published.backend_tokenizer.to_str())["model"]
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}: no tokenizer could be loaded ({type(error).__name__}). Place tokenizer.json, or "
            "tokenizer.model and the package sentencepiece."
        ) from None
    unknown = str(published.unk_token)
    if state["type"] != "BPE" or not state.get("byte_fallback") or unknown not in state["vocab"]:
        raise CheckpointError(
            f"{folder}: is no Llama tokenizer with byte fallback and an unknown token. Give Vicuna 7B v1.5."
        )
    tokenizer = LlamaTokenizer(
        vocab={IMAGE_TOKEN if piece == unknown else piece: number for piece, number in state["vocab"].items()},
        merges=[tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in state["merges"]],
        unk_token=IMAGE_TOKEN,
        bos_token=str(published.bos_token),
        eos_token=str(published.eos_token),
        pad_token=str(published.eos_token),  # the unknown token is published for it, and would count as an image
        legacy=True,
        add_bos_token=True,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        model_max_length=published.model_max_length,
    )
    for text in ("The lungs are clear.", "\nNo effusion: 2 mm \u00e9\u2713"):
        ours, theirs = (one(text, add_special_tokens=False)["input_ids"] for one in (tokenizer, published))
        if ours != theirs:
            raise CheckpointError(f"{folder}: its tokenizer splits text otherwise than Llama's. Give Vicuna 7B v1.5.")
    return tokenizer
