"""What `radlet plan` reckons with: the training recipes of a folder, and how much there is to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from radlet.core.config import Config
from radlet.core.errors import ConfigError
from radlet.core.registry import nearest
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.models.language import LanguageModelConfig
from radlet.stages.align import AlignConfig
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.pipeline import recipe_config, split_overrides
from radlet.stages.machine_rates import resident_bytes
from radlet.stages.pretrain import PretrainConfig

SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama-7b": ("llama", {"vocab_size": 32000}),
    "smollm2-135m": (
        "llama",
        {
            "vocab_size": 49152,
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2.5-0.5b": (
        "qwen2",
        {
            "vocab_size": 151936,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
    "qwen2.5-1.5b": (
        "qwen2",
        {
            "vocab_size": 151936,
            "hidden_size": 1536,
            "intermediate_size": 8960,
            "num_hidden_layers": 28,
            "num_attention_heads": 12,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
        },
    ),
}
"""Language models to plan with where not even their ``config.json`` is on disk; Vicuna-7B is llama-7b."""


_TOKENS_PER_WORD = 1.5


class Workload(Config):
    """How much there is to read; means over the training rows."""

    num_rows: int = Field(default=10_000, ge=1)
    """Training rows."""
    prompt_tokens: int = Field(default=30, ge=0)
    """Tokens of a prompt, films apart."""
    target_tokens: int = Field(default=80, ge=1)
    """Tokens of a report."""
    new_tokens: int = Field(default=100, ge=1)
    """Tokens of a draft, when serving."""
    example_bytes: float = Field(default=20_000, ge=0)
    """Memory of an example, as it is read from disk; found by reading them where there are some."""

    @property
    def rows_bytes(self) -> float:
        """Memory of all examples that a stage reads; those for development and test are about a tenth more."""
        return self.example_bytes * self.num_rows

    @classmethod
    def of(cls, examples: Path, films: Literal["frontal", "frontal_and_lateral"] = "frontal") -> "Workload":
        """Count the rows of a build run, of the films that a row shows, and the words of its reports.

        Raises:
            DataError: There is no such run.
        """
        before = resident_bytes()
        rows = [row for row in select_films(read_examples(examples), films) if row.target]
        read_bytes = max(0.0, resident_bytes() - before)
        train = [row for row in rows if row.split == "train"]

        def mean_tokens(texts: Sequence[str]) -> int:
            words = sum(len(text.split()) for text in texts)
            return round(_TOKENS_PER_WORD * words / max(1, len(texts)))

        target = max(1, mean_tokens([row.target or "" for row in train]))
        prompt = mean_tokens([row.question or row.indication or "" for row in train]) + 8
        return cls(
            num_rows=max(1, len(train)),
            prompt_tokens=prompt,
            target_tokens=target,
            new_tokens=target,
            example_bytes=read_bytes / max(1, len(train)),
        )


@dataclass(frozen=True)
class Recipes:
    """The training recipes of a folder.

    Attributes:
        pretrain: Which makes the encoder.
        align: Which joins it with a language model.
        finetune: Which tunes both.
        language_model: Of the report model.
    """

    pretrain: PretrainConfig
    align: AlignConfig
    finetune: FinetuneConfig
    language_model: LanguageModelConfig

    def num_films(self, stage: str) -> int:
        """Return the films of a row: two, where a lateral one is shown too, which not every study has."""
        if stage == "finetune" and self.finetune.films == "none":
            return 0
        return 2 if self.align.films == "frontal_and_lateral" else 1

    @classmethod
    def of(cls, folder: Path, overrides: Sequence[str], shape: str | None) -> "Recipes":
        """Read them; `shape` stands for the language model of `align`.

        Raises:
            ConfigError: One is missing or wrong, or the shape is unknown.
        """
        by_recipe = split_overrides(overrides)
        open_runs = {"examples": Path("examples"), "encoder": Path("encoder"), "checkpoint": Path("checkpoint")}

        def read(stage: str, *fields: str) -> Any:
            return recipe_config(stage, folder, Path(), by_recipe, {field: open_runs[field] for field in fields})

        pretrain: PretrainConfig = read("pretrain", "examples")
        align: AlignConfig = read("align", "examples", "encoder")
        language_model = align.language_model or pretrain.language_model
        if shape is not None:
            if shape not in SHAPES:
                raise ConfigError(f"--language-model {shape}: is unknown.{nearest(shape, list(SHAPES))}")
            model_type, options = SHAPES[shape]
            rest = {name: value for name, value in options.items() if name != "vocab_size"}
            language_model = LanguageModelConfig(model_type=model_type, options=rest, vocab_size=options["vocab_size"])
        return cls(pretrain, align, read("finetune", "examples", "checkpoint"), language_model)
