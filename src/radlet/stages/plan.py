"""`radlet plan`: what the stages of a recipe, and serving its model, will take on a machine, before any of it runs.

The model of each stage is made without storage, one micro-batch of its step is run through the real code, and what was
counted (`radlet.models.costs`) becomes seconds and bytes by the rates of a machine. Nothing is trained and no weights
are read: of a pre-trained model its ``config.json`` is enough.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlavaConfig, LlavaForConditionalGeneration, PreTrainedModel

from radlet.core.config import Config, of_its_kind
from radlet.core.errors import ConfigError
from radlet.core.records import Example
from radlet.core.registry import nearest
from radlet.data.examples import select_films
from radlet.data.manifests import read_examples
from radlet.models.costs import Cost, counting, without_storage
from radlet.models.encoders import token_layout, tower_tokens
from radlet.models.freezing import is_frozen, set_trainable
from radlet.models.frozen_weights import hold_weights
from radlet.models.image_text import ImageTextModel
from radlet.models.language import LanguageModelConfig
from radlet.models.tunings import TUNINGS
from radlet.stages.align import AlignConfig
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.machines import Machine
from radlet.stages.pipeline import recipe_config, split_overrides
from radlet.stages.pretrain import PretrainConfig
from radlet.training.augmentation import AugmentationConfig
from radlet.training.checkpointing import checkpoint_blocks
from radlet.training.loop import LoopConfig
from radlet.training.losses.language import token_cross_entropy
from radlet.training.precision import autocast

ADAM_BYTES = 8
"""Two averages of 32 bits for each trainable number."""
ADAM_MOVED_BYTES = 28
"""A step reads weight, gradient and both averages, and writes all but the gradient."""

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

    @classmethod
    def of(cls, examples: Path, tokens_per_word: float = 1.5) -> "Workload":
        """Count the rows of a build run and the words of its reports.

        Raises:
            DataError: There is no such run.
        """
        rows: list[Example] = [row for row in select_films(read_examples(examples), "frontal") if row.target]
        train = [row for row in rows if row.split == "train"]

        def mean_tokens(texts: Sequence[str]) -> int:
            words = sum(len(text.split()) for text in texts)
            return round(tokens_per_word * words / max(1, len(texts)))

        target = max(1, mean_tokens([row.target or "" for row in train]))
        prompt = mean_tokens([row.question or row.indication or "" for row in train]) + 8
        return cls(num_rows=max(1, len(train)), prompt_tokens=prompt, target_tokens=target, new_tokens=target)


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes.

    Attributes:
        stage: Its name.
        parameters: (trainable, all).
        num_steps: Optimiser steps.
        step_s: Seconds of one of them.
        once_s: Seconds of what is done once, as running a frozen encoder over every film.
        memory: Bytes by part, on one device; their sum is the peak.
        flops: Of the whole stage.
        machine: Where.
    """

    stage: str
    parameters: tuple[int, int]
    num_steps: int
    step_s: float
    once_s: float
    memory: dict[str, float]
    flops: float
    machine: Machine

    @property
    def total_s(self) -> float:
        """Seconds of the whole stage; validations apart."""
        return self.num_steps * self.step_s + self.once_s

    @property
    def peak_bytes(self) -> float:
        """Memory of one device."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether that is less than the device has."""
        return self.peak_bytes < self.machine.memory_bytes

    @property
    def kwh(self) -> float:
        """Energy of all devices."""
        return self.machine.watts * self.machine.num_devices * self.total_s / 3.6e6

    @property
    def usd(self) -> float | None:
        """Price of all devices."""
        price = self.machine.usd_per_hour
        return None if price is None else price * self.machine.num_devices * self.total_s / 3600


@dataclass(frozen=True)
class ServingPlan:
    """What drafting takes, one film at a time.

    Attributes:
        memory: Bytes by part.
        first_token_s: From the film to the first token.
        token_s: Each token after it.
        new_tokens: Tokens of a draft.
        machine: Where; one device of it.
    """

    memory: dict[str, float]
    first_token_s: float
    token_s: float
    new_tokens: int
    machine: Machine

    @property
    def draft_s(self) -> float:
        """Seconds of one draft."""
        return self.first_token_s + self.token_s * (self.new_tokens - 1)


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


def plan_stages(recipes: Recipes, workload: Workload, machine: Machine) -> list[StagePlan]:
    """Return what each training stage takes.

    Raises:
        ConfigError: A model cannot be made from what the recipes say.
        CheckpointError: A pre-trained encoder is not there.
    """
    return [
        _plan_pretrain(recipes, workload, machine),
        plan_reports("align", recipes, workload, machine),
        plan_reports("finetune", recipes, workload, machine),
    ]


def plan_serving(recipes: Recipes, workload: Workload, machine: Machine) -> ServingPlan:
    """Return what drafting takes, in the precision that weights are stored in here: 16 bits on a card, 32 on a CPU."""
    with without_storage(torch.bfloat16 if machine.overlaps else torch.float32):
        model = _report_model(recipes, machine).eval().requires_grad_(False)
        with torch.no_grad(), counting() as first:
            _read_prompt(model, recipes, workload, 1)
        with torch.no_grad(), counting() as each:
            embeds = torch.empty(1, 1, _width(model), dtype=next(model.parameters()).dtype)
            hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
            model.lm_head(hidden)
        weights = _bytes(model.parameters())
        length = _num_image_tokens(model) * _num_films(recipes) + workload.prompt_tokens + workload.new_tokens
        cache = _cache_bytes(model, length)
    memory = {"process": machine.base_bytes, "weights": weights, "cache": cache, "activations": float(first.peak_bytes)}
    token_s = machine.seconds(each) + cache / machine.weights_bandwidth
    return ServingPlan(memory, machine.seconds(first), token_s, workload.new_tokens, machine)


def _plan_pretrain(recipes: Recipes, workload: Workload, machine: Machine) -> StagePlan:
    config, loop = recipes.pretrain, recipes.pretrain.loop
    with without_storage():
        encoder = config.encoder.build(config.image.size_px)
        language_model = _language_model(config.language_model)
        model = ImageTextModel(
            encoder,
            language_model,
            ("label",) * 14,
            config.embed_dim,
            config.encoder.feature_layer,
            config.image.size_px,
        )
        _lay_out(model, machine)
        tokens = min(config.loss.max_text_tokens, workload.target_tokens)
        num_texts = min(config.loss.max_pairs or loop.micro_batch_size, loop.micro_batch_size)
        with counting() as cost, _precision(loop):
            pooled = model.pooled(torch.empty(loop.micro_batch_size, 3, *[config.image.size_px] * 2))
            loss = model.label_logits(pooled).sum() + model.embed_images(pooled).sum()
            ids = torch.ones(num_texts, tokens, dtype=torch.long)
            hidden = model.hidden_text(ids, torch.ones_like(ids))
            loss = loss + model.embed_texts(hidden, torch.ones_like(ids)).sum()
            loss = loss + language_model.get_output_embeddings()(hidden).float().sum()
            loss.backward()
        return _stage_plan("pretrain", model, cost, loop, workload, machine, 0.0)


def plan_reports(
    stage: Literal["align", "finetune"], recipes: Recipes, workload: Workload, machine: Machine
) -> StagePlan:
    """Return what `align` or `finetune` takes."""
    config: AlignConfig | FinetuneConfig = getattr(recipes, stage)
    training, loop = config.training, config.training.loop
    with without_storage():
        model = _report_model(recipes, machine)
        parts: set[str] = set(config.train)
        if isinstance(config, FinetuneConfig) and "language_model" in parts:
            set_trainable(model, parts - {"language_model"})
            of_its_kind(TUNINGS, config.tuning).apply(model)
        else:
            set_trainable(model, parts)
        hold_weights(model, config.weights)
        if loop.checkpoint_activations:
            checkpoint_blocks(model)
        # Without storage dropout is counted as the three passes that a CPU makes of it; on a card it is less than one.
        model.train(not machine.overlaps)
        kept = is_frozen(model.model.vision_tower) and training.augmentation == AugmentationConfig()
        with counting() as film, torch.no_grad(), _precision(loop):
            _encode(model, recipes, 1)
        with counting() as cost, _precision(loop):
            if not kept:
                with torch.no_grad():
                    _encode(model, recipes, loop.micro_batch_size)
            hidden = _read_prompt(model, recipes, workload, loop.micro_batch_size, encode=False)
            states = hidden[:, -workload.target_tokens :].flatten(0, 1)
            targets = torch.ones(len(states), dtype=torch.long)
            token_cross_entropy(states, targets, model.lm_head).backward()  # type: ignore[no-untyped-call]
        once = machine.seconds(film) * workload.num_rows * kept / machine.num_devices
        return _stage_plan(stage, model, cost, loop, workload, machine, once)


def _stage_plan(
    stage: str, model: nn.Module, cost: Cost, loop: LoopConfig, workload: Workload, machine: Machine, once_s: float
) -> StagePlan:
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    gradients = 4.0 * trainable
    memory = {
        "process": machine.base_bytes,
        "weights": _bytes(model.parameters()),
        "gradients": gradients,
        "optimiser": float(ADAM_BYTES * trainable),
        "activations": max(0.0, cost.peak_bytes - gradients),
    }
    num_steps = loop.num_steps(workload.num_rows)
    optimizer_s = trainable * ADAM_MOVED_BYTES / machine.weights_bandwidth
    step_s = machine.seconds(cost) * loop.grad_accum_steps / machine.num_devices + optimizer_s
    flops = float(cost.flops) * loop.grad_accum_steps * num_steps
    return StagePlan(stage, (trainable, total), num_steps, step_s, once_s, memory, flops, machine)


def _report_model(recipes: Recipes, machine: Machine) -> LlavaForConditionalGeneration:
    encoder = recipes.pretrain.encoder.build(recipes.pretrain.image.size_px)
    layer = recipes.pretrain.encoder.feature_layer
    num_extra, grid = token_layout(encoder, recipes.pretrain.image.size_px, layer)
    keeps = recipes.align.keep_class_token
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=encoder.config,
            text_config=_language_model(recipes.language_model).config,
            image_seq_length=grid * grid + num_extra * keeps,
            vision_feature_layer=layer,
            vision_feature_select_strategy="default" if num_extra and not keeps else "full",
        )
    )
    model.tie_weights()
    _lay_out(model, machine)
    return model


def _language_model(config: LanguageModelConfig) -> PreTrainedModel:
    if config.path is None:
        shape = AutoConfig.for_model(config.model_type, **config.options, vocab_size=config.vocab_size)
    elif (config.path / "config.json").is_file():
        shape = AutoConfig.from_pretrained(config.path, local_files_only=True)
    else:
        raise ConfigError(
            f"{config.path}: has no config.json. A plan needs that file of the language model and no weights; or name "
            f"its shape: --language-model {' | '.join(SHAPES)}."
        )
    model = AutoModelForCausalLM.from_config(shape)
    model.tie_weights()
    return model


def _lay_out(model: nn.Module, machine: Machine) -> None:
    """Choose the attention kernel as training does: on a card the fused one, which is transformers' own choice."""
    if not machine.overlaps:
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                module.set_attn_implementation("eager")


def _precision(loop: LoopConfig) -> torch.autocast:
    return autocast(torch.device("cpu"), loop.precision)


def _encode(model: LlavaForConditionalGeneration, recipes: Recipes, batch_size: int) -> torch.Tensor:
    side = recipes.pretrain.image.size_px
    films = torch.empty(batch_size * _num_films(recipes), 3, side, side, dtype=next(model.parameters()).dtype)
    return tower_tokens(model.model.vision_tower, films, recipes.pretrain.encoder.feature_layer)


def _read_prompt(
    model: LlavaForConditionalGeneration, recipes: Recipes, workload: Workload, batch_size: int, encode: bool = True
) -> torch.Tensor:
    """Return hidden states (B, T, D) of film, prompt and, when training, report."""
    if encode:
        _encode(model, recipes, batch_size)
    dtype = next(model.parameters()).dtype
    num_tokens = _num_image_tokens(model) * _num_films(recipes)
    features = torch.empty(batch_size, num_tokens, model.model.multi_modal_projector.linear_1.in_features, dtype=dtype)
    projected = model.model.multi_modal_projector(features)
    num_words = workload.prompt_tokens + (0 if encode else workload.target_tokens)
    ids = torch.ones(batch_size, num_words, dtype=torch.long)
    embeds = torch.cat([projected, model.get_input_embeddings()(ids).to(projected.dtype)], dim=1)
    mask = torch.ones(batch_size, embeds.shape[1], dtype=torch.long)
    hidden: torch.Tensor = model.model.language_model(
        inputs_embeds=embeds, attention_mask=mask, use_cache=False
    ).last_hidden_state
    return hidden


def _num_films(recipes: Recipes) -> int:
    return 2 if recipes.align.films == "frontal_and_lateral" else 1


def _num_image_tokens(model: LlavaForConditionalGeneration) -> int:
    return int(model.config.image_seq_length)


def _width(model: LlavaForConditionalGeneration) -> int:
    return int(model.config.text_config.hidden_size)


def _cache_bytes(model: LlavaForConditionalGeneration, length: int) -> float:
    shape = model.config.text_config
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    head_dim = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    item = next(model.parameters()).element_size()
    return float(2 * shape.num_hidden_layers * heads * head_dim * length * item)


def _bytes(parameters: Any) -> float:
    return float(sum(parameter.numel() * parameter.element_size() for parameter in parameters))


def reading(seconds: float) -> str:
    """Return a time in the unit that people would use."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms" if math.isfinite(seconds) else "-"
