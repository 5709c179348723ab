"""The tokenizer as GGUF holds it, so that llama.cpp's own tools can read the file too; radlet gives them token ids."""

import json
from typing import Any

import gguf
from transformers import PreTrainedTokenizerBase

from radlet.core.errors import CheckpointError

_SPLITTERS = {
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|": "llama-bpe",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|": "qwen2",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+": "gpt-4o",
}
"""How the pattern that cuts a text into words begins -> what llama.cpp calls it."""


def write_vocabulary(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase, num_rows: int) -> None:
    """Write tokens, merges and special ids.

    Args:
        writer: Of the file.
        tokenizer: Of the model.
        num_rows: Rows of the token embeddings; those beyond the tokenizer's are named as padding.

    Raises:
        CheckpointError: It is no byte-pair tokenizer.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    model = described["model"]
    if model["type"] != "BPE":
        raise CheckpointError(
            f"The tokenizer is of the kind '{model['type']}', which the export to llama.cpp does not write; it writes "
            "byte-pair tokenizers. Export to another engine, or keep to the checkpoint."
        )
    tokens = [f"[PAD{row}]" for row in range(num_rows)]
    types = [gguf.TokenType.UNUSED] * num_rows
    for token, row in model["vocab"].items():
        tokens[row] = token
        types[row] = gguf.TokenType.BYTE if _is_byte(token) and model["byte_fallback"] else gguf.TokenType.NORMAL
    for added in described["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    if model["byte_fallback"]:
        _write_sentence_pieces(writer, described, tokens, merges)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_splitter(described))
        writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    _write_special(writer, tokenizer)


def _write_sentence_pieces(
    writer: gguf.GGUFWriter, described: dict[str, Any], tokens: list[str], merges: list[list[str]]
) -> None:
    """Write the scores of a SentencePiece model: earlier merges score higher, which is all that its search asks."""
    ranks = {"".join(merge): rank for rank, merge in reversed(list(enumerate(merges)))}
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores([-float(ranks.get(token, len(merges))) for token in tokens])
    ahead = [part for part in _parts(described, "normalizer") if part["type"] == "Prepend"]
    schemes = [part.get("prepend_scheme") for part in _parts(described, "pre_tokenizer") if part["type"] == "Metaspace"]
    writer.add_add_space_prefix(bool(ahead) or any(scheme in {"first", "always"} for scheme in schemes))


def _write_special(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerBase) -> None:
    for token, write in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
        (tokenizer.unk_token_id, writer.add_unk_token_id),
    ):
        if token is not None:
            write(token)
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(ids) and ids[0] == tokenizer.bos_token_id)


def _splitter(described: dict[str, Any]) -> str:
    """Return llama.cpp's word for how a byte-level tokenizer cuts a text; "default" where it has none."""
    parts = _parts(described, "pre_tokenizer")
    patterns = [part["pattern"].get("Regex", "") for part in parts if part["type"] == "Split"]
    for beginning, name in _SPLITTERS.items():
        if any(pattern.startswith(beginning) for pattern in patterns):
            return name
    if patterns:
        return "default"
    return "smollm" if any(part["type"] == "Digits" for part in parts) else "gpt-2"


def _parts(described: dict[str, Any], step: str) -> list[dict[str, Any]]:
    found = described[step] or {}
    inner = found.get("pretokenizers") or found.get("normalizers")
    return list(inner or ([found] if found else []))


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")
