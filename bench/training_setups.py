"""The models and rows that the benchmarks of training share: synthetic studies, random weights, two sizes."""

from dataclasses import dataclass
from pathlib import Path

import torch

from radlet import __version__
from radlet.core.config import load_config
from radlet.core.console import Progress
from radlet.core.records import Example
from radlet.data.images import ImageSettings
from radlet.data.manifests import read_examples
from radlet.models.encoders import HybridEncoderConfig
from radlet.models.language import LanguageModelConfig
from radlet.models.report_model import ModelCard, ReportModel, assemble
from radlet.stages import build, ingest
from radlet.stages.pipeline import shipped_recipes


@dataclass(frozen=True)
class Size:
    """A report model to measure.

    Attributes:
        size_px: Side of its films.
        encoder: Its image encoder.
        options: Of its Llama.
        vocab_size: Of its tokenizer, at most.
    """

    size_px: int
    encoder: HybridEncoderConfig
    options: dict[str, int]
    vocab_size: int


def llama(width: int, inner: int, layers: int, heads: int) -> dict[str, int]:
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
    return assemble(size.encoder.build(size.size_px), language_model, tokenizer, card, keep_class_token=True)
