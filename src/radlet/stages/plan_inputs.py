"""What `radlet plan` reckons with: the training recipes of a folder, and how much there is to read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, pstdev
from typing import Any, Literal

from pydantic import Field

from radlet.core.config import Config, StageConfig, load_config
from radlet.core.errors import ConfigError
from radlet.core.registry import nearest
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.models.language import LanguageModelConfig
from radlet.stages.align import AlignConfig
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.machine_rates import resident_bytes
from radlet.stages.pipeline import recipe_config, split_overrides
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


STAGES = ("pretrain", "align", "finetune")
"""Stages that are planned, in their order."""
_KINDS: dict[str, type[StageConfig]] = {"pretrain": PretrainConfig, "align": AlignConfig, "finetune": FinetuneConfig}
_UPSTREAM = {"pretrain": "align.encoder", "align": "finetune.checkpoint"}
_OPEN = Path("open")  # a run that is yet to be made
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
    spread: float = Field(default=0.4, ge=0)
    """Standard deviation of a row's words, over their mean."""
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
            spread=_spread([len(f"{row.question or row.indication or ''} {row.target}".split()) for row in train]),
            example_bytes=read_bytes / max(1, len(train)),
        )


def _spread(lengths: Sequence[int]) -> float:
    return pstdev(lengths) / mean(lengths) if lengths and sum(lengths) else 0.0


@dataclass(frozen=True)
class Recipes:
    """The training recipes of a folder.

    Attributes:
        pretrain: Which makes the encoder.
        align: Which joins it with a language model.
        finetune: Which tunes both.
        language_model: Of the report model.
        stages: Those that have a recipe.
    """

    pretrain: PretrainConfig
    align: AlignConfig
    finetune: FinetuneConfig
    language_model: LanguageModelConfig
    stages: tuple[str, ...] = STAGES

    def num_films(self, stage: str) -> int:
        """Return the films of a row: two, where a lateral one is shown too, which not every study has."""
        if stage == "finetune" and self.finetune.films == "none":
            return 0
        return 2 if self.align.films == "frontal_and_lateral" else 1

    @classmethod
    def of(cls, folder: Path, overrides: Sequence[str], shape: str | None) -> "Recipes":
        """Read them; `shape` stands for the language model of `align`.

        A stage without a recipe is not planned. What a later one needs to know of it is told by the run that this one
        names, and of a stage that nothing follows by the defaults.

        Raises:
            ConfigError: A recipe is wrong, there is none, a run is not there, or the shape is unknown.
        """
        stages = tuple(stage for stage in STAGES if (folder / f"{stage}.toml").is_file())
        if not stages:
            raise ConfigError(f"{folder}: has no recipe to plan. Those of {', '.join(STAGES)} are planned.")
        by_recipe = split_overrides(overrides)

        def read(stage: str, upstream: Path | None, **runs: Any) -> Any:
            if stage in stages:
                return recipe_config(stage, folder, Path(), by_recipe, {"examples": _OPEN} | runs)
            kind = _KINDS[stage]
            if upstream is None:
                return load_config(kind, None, examples=_OPEN, **runs)
            return _of_run(stage, upstream, folder, by_recipe[stage])

        finetune: FinetuneConfig = read("finetune", None, checkpoint=_OPEN)
        align: AlignConfig = read("align", finetune.checkpoint if "finetune" in stages else None, encoder=_OPEN)
        needed = "align" in stages or "finetune" in stages
        pretrain: PretrainConfig = read("pretrain", align.encoder if needed else None)
        language_model = align.language_model or pretrain.language_model
        if shape is not None:
            if shape not in SHAPES:
                raise ConfigError(f"--language-model {shape}: is unknown.{nearest(shape, list(SHAPES))}")
            model_type, options = SHAPES[shape]
            rest = {name: value for name, value in options.items() if name != "vocab_size"}
            language_model = LanguageModelConfig(model_type=model_type, options=rest, vocab_size=options["vocab_size"])
        return cls(pretrain, align, finetune, language_model, stages)


def _of_run(stage: str, run: Path, folder: Path, overrides: Sequence[str]) -> Any:
    """Return the configuration of a finished run; of a later tuning of it, that of the run it began with.

    Args:
        stage: Whose configuration is asked for.
        run: What the recipes go on from.
        folder: Of the recipes, for messages.
        overrides: Of the stage, without its name.

    Raises:
        ConfigError: There is no such run.
    """
    field = _UPSTREAM[stage]
    try:
        told = json.loads((run / "config.json").read_bytes())
        # A checkpoint's own file of that name tells of a model, not of a run.
        is_run = isinstance(told, dict) and "model_type" not in told
    except (OSError, ValueError):
        is_run = False
    if not is_run:
        raise ConfigError(
            f"{folder}: has no {stage}.toml, and {field} = {run} is no run of it either. Name the run that the recipes "
            f"go on from: {field}=RUN."
        )
    if stage == "align" and "checkpoint" in told:
        return _of_run(stage, Path(told["checkpoint"]), folder, overrides)
    return load_config(_KINDS[stage], None, list(overrides), **told)
