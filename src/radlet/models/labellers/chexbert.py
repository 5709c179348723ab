"""CheXbert (Smit et al. 2020, "CheXbert: Combining Automatic Labelers and Expert Annotations"): BERT with 14 heads.

The first token of BERT's last layer goes through one linear head an observation: four classes (not mentioned,
positive, negative, uncertain) for thirteen of them, two (not mentioned, positive) for "No Finding". The folder that
`load_chexbert` reads is written by ``radlet import chexbert`` from the published file.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerBase

from radlet.core.errors import CheckpointError
from radlet.core.labeller import Labeller
from radlet.core.records import OBSERVATIONS, State
from radlet.core.runs import sha256_file

WEIGHTS = "model.safetensors"
MAX_TOKENS = 512
_CLASSES = (State.UNMENTIONED, State.POSITIVE, State.NEGATIVE, State.UNCERTAIN)


class CheXbert(nn.Module):
    """BERT and its 14 heads, in the order of `OBSERVATIONS`, which is CheXbert's own."""

    def __init__(self, bert: BertModel, hidden_size: int) -> None:
        super().__init__()
        self.bert = bert
        classes = [2 if name == "No Finding" else len(_CLASSES) for name in OBSERVATIONS]
        self.linear_heads = nn.ModuleList(nn.Linear(hidden_size, count) for count in classes)

    def forward(self, **inputs: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits of each observation, (B, 2 or 4) each."""
        first = self.bert(**inputs).last_hidden_state[:, 0]
        return [head(first) for head in self.linear_heads]


class CheXbertLabeller(Labeller):
    """CheXbert, a trained labeller, when its weights are on disk; ``radlet import chexbert`` makes the folder."""

    kind: Literal["chexbert"] = "chexbert"
    path: Path
    """Folder that ``radlet import chexbert`` wrote."""
    sha256: str = ""
    """Digest of its weights; found when the recipe is read, refused when another is given."""
    batch_size: int = Field(default=16, ge=1)
    """Texts read at once."""

    @field_validator("path")
    @classmethod
    def _is_there(cls, path: Path) -> Path:
        if not (path / WEIGHTS).is_file():
            raise ValueError(
                f"{path} holds no {WEIGHTS}. Make the folder with: radlet import chexbert chexbert.pth --bert "
                "BERT_DIR --out DIR"
            )
        return path

    def model_post_init(self, _context: Any, /) -> None:
        """Note the digest of the weights, so that a run is told apart from one with others."""
        digest = sha256_file(self.path / WEIGHTS)
        if self.sha256 not in ("", digest):
            raise CheckpointError(f"{self.path}: its weights have sha256 {digest[:12]}..., not {self.sha256[:12]}...")
        object.__setattr__(self, "sha256", digest)

    def label(self, texts: Sequence[str]) -> list[dict[str, State]]:
        """Return the state of each of the 14 observations for every text, in order; longer ones are cut at 512 tokens.

        Raises:
            CheckpointError: The folder does not hold a CheXbert.
        """
        model, tokenizer = load_chexbert(self.path)
        batches = (texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size))
        return [states for batch in batches for states in read_texts(model, tokenizer, batch)[1]]


def read_texts(
    model: CheXbert, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]
) -> tuple[NDArray[np.float32], list[dict[str, State]]]:
    """Return what the heads read of each text, (n, hidden size), and the states they tell; cut at 512 tokens."""
    batch = [" ".join(text.split()) for text in texts]
    inputs = tokenizer(batch, truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        first = model.bert(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state[
            :, 0
        ]
        classes = torch.stack([head(first).argmax(dim=-1) for head in model.linear_heads], dim=-1).tolist()
    states = [{name: _CLASSES[chosen] for name, chosen in zip(OBSERVATIONS, row, strict=True)} for row in classes]
    return np.asarray(first.float().numpy()), states


@lru_cache(maxsize=1)
def load_chexbert(path: Path) -> tuple[CheXbert, PreTrainedTokenizerBase]:
    """Return the model, in evaluation mode, and its tokenizer; kept for the process.

    Raises:
        CheckpointError: The folder does not hold a CheXbert.
    """
    try:
        model = empty_chexbert(path)
        model.load_state_dict(load_file(path / WEIGHTS))
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: is no CheXbert folder that can be read ({type(error).__name__}). Make it with: radlet import "
            "chexbert"
        ) from None
    return model.eval(), tokenizer


def empty_chexbert(bert_dir: Path) -> CheXbert:
    """Return a CheXbert with random weights, of the BERT whose ``config.json`` stands in `bert_dir`."""
    config = BertConfig.from_pretrained(bert_dir, local_files_only=True)
    return CheXbert(BertModel(config), config.hidden_size)
