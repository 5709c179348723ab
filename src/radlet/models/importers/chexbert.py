"""Import the published CheXbert checkpoint: ``chexbert.pth`` and a folder of bert-base-uncased become one folder."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig

from radlet.core.errors import CheckpointError
from radlet.models.labellers.chexbert import WEIGHTS, empty_chexbert

_PARALLEL = "module."
"""What training on several devices put before every name."""
_NOT_WEIGHTS = ("bert.embeddings.position_ids",)
"""Counted anew by every version of transformers since the file was written."""


def import_chexbert(weights: Path, bert_dir: Path, out: Path) -> None:
    """Write the folder that the labeller ``chexbert`` reads.

    Args:
        weights: The published ``chexbert.pth``.
        bert_dir: Folder of bert-base-uncased; its ``config.json`` and tokenizer files are used, no weights.
        out: Folder to write; made if need be.

    Raises:
        CheckpointError: A file is missing or is not what it should be; names that miss or are too many are listed.
    """
    state = _read_published(weights)
    try:
        model = empty_chexbert(bert_dir)
        tokenizer = AutoTokenizer.from_pretrained(bert_dir, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{bert_dir}: holds no BERT ({type(error).__name__}). Place config.json and vocab.txt of bert-base-uncased "
            "there."
        ) from None
    _check_names(weights, {name: tensor.shape for name, tensor in model.state_dict().items()}, state)
    out.mkdir(parents=True, exist_ok=True)
    BertConfig.from_pretrained(bert_dir, local_files_only=True).save_pretrained(out)
    tokenizer.save_pretrained(out)
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, out / WEIGHTS)


def _read_published(weights: Path) -> dict[str, torch.Tensor]:
    try:
        # Importers alone may unpickle; weights_only admits tensors and plain containers, and runs no code.
        content = torch.load(weights, map_location="cpu", weights_only=True)  # noqa: TID251
        state = content["model_state_dict"]
        named = {str(name).removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    except Exception as error:  # noqa: BLE001 - foreign bytes make the unpickler fail in many ways; each is a refusal
        raise CheckpointError(
            f"{weights}: is not the published CheXbert checkpoint ({type(error).__name__}). It holds a "
            "'model_state_dict'."
        ) from None
    return {name: tensor for name, tensor in named.items() if name not in _NOT_WEIGHTS}


def _check_names(weights: Path, wanted: Mapping[str, torch.Size], state: Mapping[str, torch.Tensor]) -> None:
    problems = [f"{name} is missing" for name in wanted if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in wanted]
    problems += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in state and state[name].shape != shape
    ]
    if problems:
        rest = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise CheckpointError(
            f"{weights}: does not fit a CheXbert over this BERT: {'; '.join(problems[:5])}{rest}. Give the folder of "
            "bert-base-uncased and the published chexbert.pth."
        )
