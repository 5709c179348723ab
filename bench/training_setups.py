"""The models and rows that the benchmarks of training share: synthetic studies, random weights, three sizes."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, ViTConfig, ViTModel

from radlet import __version__
from radlet.core.config import load_config
from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.data.images import ImageSettings
from radlet.data.manifests import read_examples
from radlet.models.encoders import HybridEncoderConfig
from radlet.models.language import LanguageModelConfig
from radlet.models.report_model import ModelCard, ReportModel, assemble
from radlet.models.towers import load_tower
from radlet.stages import build, ingest
from radlet.stages.pipeline import shipped_recipes


@dataclass(frozen=True)
class Size:
    """A report model to measure.

    Attributes:
        size_px: Side of its films.
        encoder: Its image encoder; a ViT's shape stands for a published tower.
        options: Of its Llama.
        vocab_size: Of its tokenizer, at most.
        batch_size: Rows of a step.
        max_rows: Rows to train on, at most: each film passes the encoder once before the first step.
        compiled: Whether ways with compiled kernels are measured too. The Trainer compiles all layers as one: a deep
            model takes it longer than all else here.
        num_embeddings: Of its language model; None: as many as its tokenizer has tokens.
    """

    size_px: int
    encoder: HybridEncoderConfig | ViTConfig
    options: dict[str, Any]
    vocab_size: int
    batch_size: int = 32
    max_rows: int = 10_000
    num_embeddings: int | None = None
    compiled: bool = True


def llama(width: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    """Return the fields of a Llama's configuration."""
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 1024,
    }


SIZES = {
    # The recipe recipes/tiny.
    "tiny": Size(128, HybridEncoderConfig(widths=(32, 64, 96, 160), depths=(1, 1, 1, 1)), llama(128, 384, 3, 4), 1024),
    "30M": Size(
        224,
        HybridEncoderConfig(widths=(32, 64, 128, 256), depths=(1, 1, 1, 1), hidden_size=256, num_layers=2),
        llama(512, 1408, 9, 8),
        2048,
        compiled=False,
    ),
    # What a laptop trains: the tower of BiomedCLIP (ViT-B/16 at 224 px, 86M, 196 patches) before a model of the shape
    # of SmolLM2-135M. Every patch becomes a token of the decoder, so that the tower is a small part of a step; the
    # shape was chosen before it was measured.
    "ViT-B/16 + 135M": Size(
        224,
        ViTConfig(),
        llama(576, 1536, 30, 9) | {"num_key_value_heads": 3, "tie_word_embeddings": True},
        2048,
        batch_size=8,
        max_rows=64,
        num_embeddings=49152,
        compiled=False,
    ),
}


def synthetic_rows(folder: Path, num_patients: int) -> list[Example]:
    """Return the training examples of synthetic studies, made in `folder` unless they are there already."""
    recipes, console = shipped_recipes("tiny"), Progress().console
    overrides = [f"source.num_patients={num_patients}"]
    studies = ingest.run(load_config(ingest.IngestConfig, recipes / "ingest.toml", overrides, runs_dir=folder), console)
    built = build.run(load_config(build.BuildConfig, recipes / "build.toml", [], ingest=studies, runs_dir=folder))
    return [row for row in read_examples(built) if row.split == "train" and row.target]


def random_model(size: Size, rows: list[Example]) -> ReportModel:
    """Return a report model with random weights whose tokenizer has learnt the rows' reports."""
    torch.manual_seed(0)
    settings = ImageSettings(size_px=size.size_px, resize="squash")
    config = LanguageModelConfig(options=size.options, vocab_size=size.vocab_size)
    language_model, tokenizer = config.build(lambda: [row.target or "" for row in rows])
    card = ModelCard(
        radlet_version=__version__,
        kind="report_model",
        image=settings.model_dump(mode="json"),
        image_digest=settings.digest,
    )
    if size.num_embeddings is not None:
        language_model.resize_token_embeddings(size.num_embeddings, mean_resizing=False)
    return assemble(_tower(size), language_model, tokenizer, card, keep_class_token=True)


def _tower(size: Size) -> PreTrainedModel:
    if isinstance(size.encoder, HybridEncoderConfig):
        return size.encoder.build(size.size_px)
    with tempfile.TemporaryDirectory() as folder:
        ViTModel(size.encoder).save_pretrained(folder)
        return load_tower(Path(folder), size.size_px).model
