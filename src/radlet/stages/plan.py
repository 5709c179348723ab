"""`radlet plan`: what the stages of a recipe, and serving its model, will take on a machine, before any of it runs.

The model of each stage is made without storage, one micro-batch of its step is run through the real code, and what was
counted (`radlet.models.costs`) becomes seconds and bytes by the rates of a machine. Nothing is trained and no weights
are read: of a pre-trained model its ``config.json`` is enough.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from radlet.core.config import of_its_kind
from radlet.core.errors import ConfigError
from radlet.models.costs import Cost, counting, without_storage
from radlet.models.freezing import part_is_frozen, set_trainable
from radlet.models.frozen_weights import hold_weights
from radlet.models.image_text import ImageTextModel
from radlet.models.tunings import TUNINGS
from radlet.stages import plan_models
from radlet.stages.align import AlignConfig
from radlet.stages.finetune import FinetuneConfig
from radlet.stages.machines import Machine
from radlet.stages.plan_inputs import Recipes, Workload
from radlet.stages.plan_results import ServingPlan, StagePlan
from radlet.training.augmentation import AugmentationConfig
from radlet.training.checkpointing import checkpoint_blocks
from radlet.training.film_features import FilmFeatures
from radlet.training.heap import StepMemory, heap_bytes
from radlet.training.loop import LoopConfig
from radlet.training.losses.language import token_cross_entropy
from radlet.training.parallel import unit_names
from radlet.training.precision import autocast

ADAM_BYTES = 8
"""Two averages of 32 bits for each trainable number."""
ADAM_MOVED_BYTES = 28
"""A step reads weight, gradient and both averages, and writes all but the gradient."""
CLIP_MOVED_BYTES = 12
"""Clipping reads the gradient for its norm, and reads and writes it to scale it."""
KERNEL_CAPACITY = 1024
"""Compiled kernels that oneDNN, PyTorch's library for products of 16-bit numbers on a CPU, keeps."""
REPLAYED_BATCHES = 64
"""Micro-batches whose memory is asked for again to see what the heap comes to; it hardly grows after them."""
EMA_BYTES = 4
"""The averaged weights (`loop.ema_decay`), for each trainable number; a step reads them and the weight, and writes."""


def plan_stages(recipes: Recipes, workload: Workload, machine: Machine) -> list[StagePlan]:
    """Return what each training stage takes that has a recipe.

    Raises:
        ConfigError: A model cannot be made from what the recipes say, or devices outnumber the rows they share.
        CheckpointError: A pre-trained encoder is not there.
        RadletError: The memory of a step could not be replayed.
    """
    first = [_plan_pretrain(recipes, workload, machine)] if "pretrain" in recipes.stages else []
    reports: tuple[Literal["align", "finetune"], ...] = ("align", "finetune")
    return first + [plan_reports(stage, recipes, workload, machine) for stage in reports if stage in recipes.stages]


def plan_serving(recipes: Recipes, workload: Workload, machine: Machine) -> ServingPlan:
    """Return what drafting takes, in the precision that weights are stored in here: 16 bits on a card, 32 on a CPU."""
    with without_storage(torch.bfloat16 if machine.overlaps else torch.float32):
        model = plan_models.report_model(recipes, machine).eval().requires_grad_(False)
        num_films = recipes.num_films("finetune")
        with torch.no_grad(), counting() as first:
            films = plan_models.encode_films(model, recipes, num_films).flatten(0, 1)[None]
            plan_models.read_prompt(model, films, workload.prompt_tokens)
        with torch.no_grad(), counting() as each:
            embeds = torch.empty(1, 1, _width(model), dtype=next(model.parameters()).dtype)
            hidden = model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
            model.lm_head(hidden)
        weights = _bytes(model.parameters())
        length = plan_models.num_image_tokens(model) * num_films + workload.prompt_tokens + workload.new_tokens
        cache = plan_models.cache_bytes(model, length)
    memory = {"process": machine.base_bytes, "weights": weights, "cache": cache, "activations": float(first.peak_bytes)}
    token_s = machine.seconds(each) + cache / machine.weights_bandwidth
    return ServingPlan(memory, machine.seconds(first), token_s, workload.new_tokens, machine)


def _plan_pretrain(recipes: Recipes, workload: Workload, machine: Machine) -> StagePlan:
    config, loop = recipes.pretrain, recipes.pretrain.loop
    with without_storage():
        encoder = config.encoder.build(config.image.size_px)
        language_model = plan_models.language_model(config.language_model)
        model = ImageTextModel(
            encoder,
            language_model,
            ("label",) * 14,
            config.embed_dim,
            config.encoder.feature_layer,
            config.image.size_px,
        )
        plan_models.lay_out(model, machine)
        tokens = min(config.loss.max_text_tokens, workload.target_tokens)
        rows, num_batches = _share(loop, machine.num_devices, company_matters=True)
        num_texts = min(config.loss.max_pairs or rows, rows)
        with counting() as cost, _precision(loop):
            pooled = model.pooled(torch.empty(rows, 3, *[config.image.size_px] * 2))
            loss = model.label_logits(pooled).sum() + model.embed_images(pooled).sum()
            ids = torch.ones(num_texts, tokens, dtype=torch.long)
            hidden = model.hidden_text(ids, torch.ones_like(ids))
            loss = loss + model.embed_texts(hidden, torch.ones_like(ids)).sum()
            loss = loss + language_model.get_output_embeddings()(hidden).float().sum()
            loss.backward()
        steps = _Steps(loop, workload, num_batches, films_held=workload.num_rows * config.image.size_px**2)
        return _stage_plan("pretrain", model, cost, steps, machine)


def plan_reports(
    stage: Literal["align", "finetune"], recipes: Recipes, workload: Workload, machine: Machine
) -> StagePlan:
    """Return what `align` or `finetune` takes."""
    config: AlignConfig | FinetuneConfig = getattr(recipes, stage)
    loop = config.training.loop
    rows, num_batches = _share(loop, machine.num_devices, company_matters=False)
    num_films = recipes.num_films(stage)
    num_words = workload.prompt_tokens + workload.target_tokens
    with without_storage():
        model = plan_models.report_model(recipes, machine)
        _prepare(model, config)
        # Without storage dropout is counted as the three passes that a CPU makes of it; on a card it is less than one.
        model.train(not machine.overlaps)
        disk_bytes = _kept_bytes(model, config, num_films * workload.num_rows)
        once = Cost()
        if disk_bytes and not (stage == "finetune" and _has_seen(recipes, model, num_films * workload.num_rows)):
            with counting() as once, torch.no_grad(), _precision(loop):
                plan_models.encode_films(model, recipes, FilmFeatures.BATCH_SIZE)
        seen = not disk_bytes or once.operations
        steps = _Steps(
            loop,
            workload,
            num_batches,
            num_films * workload.num_rows,
            films_held=num_films * workload.num_rows * recipes.pretrain.image.size_px**2 if seen else 0,
        )

        def micro_batch(extra_words: int = 0) -> Cost:
            with counting() as cost, _precision(loop):
                if disk_bytes:
                    films = torch.empty(plan_models.features_shape(model, rows * num_films))
                else:
                    with torch.set_grad_enabled(not part_is_frozen(model, "encoder")):
                        films = plan_models.encode_films(model, recipes, rows * num_films)
                films = films.reshape(rows, -1 if num_films else 0, films.shape[-1])
                hidden = plan_models.read_rows(model, films, rows, num_words + extra_words)
                states = hidden[:, -workload.target_tokens - extra_words :].flatten(0, 1)
                targets = torch.ones(len(states), dtype=torch.long)
                token_cross_entropy(states, targets, model.lm_head).backward()  # type: ignore[no-untyped-call]
            return cost

        cost = micro_batch()
        # A batch of another length has products of other sizes; those of films stay.
        compiles = machine.kernel_s or machine.kernel_bytes
        kernels = len(micro_batch(1).half_products - cost.half_products) if compiles else 0
        return _stage_plan(stage, model, cost, replace(steps, kernels=kernels), machine, disk_bytes, once)


def _prepare(model: LlavaForConditionalGeneration, config: AlignConfig | FinetuneConfig) -> None:
    """Freeze, adapt and hold the weights as the stage does."""
    parts: set[str] = set(config.train)
    if isinstance(config, FinetuneConfig):
        parts = parts if config.films != "none" else parts & {"language_model"}
        set_trainable(model, parts - {"language_model"})
        if "language_model" in parts:
            of_its_kind(TUNINGS, config.tuning).apply(model)
    else:
        set_trainable(model, parts)
    hold_weights(model, config.weights)
    if config.training.loop.checkpoint_activations:
        checkpoint_blocks(model)


def _share(loop: LoopConfig, num_devices: int, company_matters: bool) -> tuple[int, int]:
    """Return the rows of one device's micro-batch and its micro-batches to a step, as the loop shares rows out.

    Raises:
        ConfigError: There are more devices than rows.
    """
    size = loop.micro_batch_size if company_matters else loop.global_batch_size
    if num_devices > size:
        raise ConfigError(
            f"{num_devices} devices cannot share {size} rows. Raise loop.micro_batch_size, or plan with fewer devices."
        )
    most = math.ceil(size / num_devices)
    if company_matters:
        return most, loop.grad_accum_steps
    num_batches = math.ceil(most / loop.micro_batch_size)
    return math.ceil(most / num_batches), num_batches


def _kept_bytes(model: LlavaForConditionalGeneration, config: AlignConfig | FinetuneConfig, num_films: int) -> float:
    """Return the size of the features of all films; 0 where the stage does not keep them."""
    frozen = part_is_frozen(model, "encoder") and config.training.augmentation == AugmentationConfig()
    num_bytes = 4.0 * math.prod(plan_models.features_shape(model, num_films))
    return num_bytes * (frozen and num_bytes <= config.feature_cache.max_gb * 1e9)


def _has_seen(recipes: Recipes, model: LlavaForConditionalGeneration, num_films: int) -> bool:
    """Say whether `finetune` finds what the encoder sees: `align` kept it, in the same precision and place."""
    align, finetune = recipes.align, recipes.finetune
    return (
        "encoder" not in align.train
        and _kept_bytes(model, align, num_films) > 0
        and align.training.loop.precision == finetune.training.loop.precision
        and (align.feature_cache.dir, align.runs_dir) == (finetune.feature_cache.dir, finetune.runs_dir)
    )


@dataclass(frozen=True)
class _Steps:
    """How a stage computes its rows.

    Attributes:
        loop: Its loop.
        workload: The rows.
        num_batches: Micro-batches to a step on each device.
        num_films: Films that a frozen encoder sees once.
        films_held: Bytes of films in the memory of the host.
        kernels: Kernels that a micro-batch of a length of its own needs compiled.
    """

    loop: LoopConfig
    workload: Workload
    num_batches: int
    num_films: int = 0
    films_held: int = 0
    kernels: int = 0

    @property
    def num_steps(self) -> int:
        """Optimiser steps."""
        return self.loop.num_steps(self.workload.num_rows)


def _stage_plan(
    stage: str,
    model: nn.Module,
    cost: Cost,
    steps: _Steps,
    machine: Machine,
    disk_bytes: float = 0.0,
    once: Cost | None = None,
) -> StagePlan:
    loop, once, num_devices = steps.loop, once or Cost(), machine.num_devices
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    averaged = EMA_BYTES * (loop.ema_decay is not None)
    parted = num_devices if loop.parallel == "fsdp" else 1
    gradients, optimizer_bytes = 4.0 * trainable, float((ADAM_BYTES + averaged) * trainable)
    memory = {
        "process": machine.base_bytes,
        "weights": _bytes(model.parameters()) if parted == 1 else _parted_bytes(model, parted),
        "gradients": gradients / parted,
        "optimiser": optimizer_bytes / parted,
        # Films are encoded before there are gradients.
        "activations": max(0.0, cost.peak_bytes - gradients, once.peak_bytes - (gradients + optimizer_bytes) / parted),
    }
    if not machine.overlaps:
        memory |= _host_memory(cost, steps, machine)
    moved_bytes = ADAM_MOVED_BYTES + CLIP_MOVED_BYTES + 3 * averaged
    optimizer_s = trainable / parted * moved_bytes / machine.weights_bandwidth
    step_s = (machine.seconds(cost) + steps.kernels * machine.kernel_s) * steps.num_batches + optimizer_s
    # One process encodes the films, and the others wait for it.
    num_encodings = steps.num_films / FilmFeatures.BATCH_SIZE
    flops = float(cost.flops) * steps.num_batches * num_devices * steps.num_steps + once.flops * num_encodings
    once_s = machine.seconds(once) * num_encodings
    return StagePlan(stage, (trainable, total), steps.num_steps, step_s, once_s, memory, flops, disk_bytes, machine)


def _host_memory(cost: Cost, steps: _Steps, machine: Machine) -> dict[str, float]:
    """Return what a CPU's memory holds beside the model: a card has none of it."""
    batches = steps.num_steps * steps.num_batches
    different = len(cost.half_products) + steps.kernels * max(0, batches - 1)
    kernels = min(KERNEL_CAPACITY, different) * machine.kernel_bytes
    replayed = min(batches, REPLAYED_BATCHES)
    # Rows of a step are sorted by length before they are shared among its micro-batches.
    spread = steps.workload.spread / (math.sqrt(steps.loop.micro_batch_size) if steps.num_batches == 1 else 1)
    heap = heap_bytes(StepMemory(cost.blocks, spread, steps.kernels, int(machine.kernel_bytes)), replayed)
    averages = 2 * cost.live_bytes
    alive = cost.peak_bytes + averages + steps.kernels * replayed * machine.kernel_bytes
    return {
        "rows": float(steps.workload.rows_bytes + steps.films_held),
        "kernels": kernels,
        "kept free": max(0.0, heap - alive),
    }


def _parted_bytes(model: nn.Module, num_devices: int) -> float:
    """Return the weights that one device holds under FSDP2: its part, and what is gathered while it computes.

    Raises:
        ConfigError: Quantised weights cannot be parted.
    """
    if not all(parameter.is_floating_point() for parameter in model.parameters()):
        raise ConfigError("loop.parallel = 'fsdp' cannot part quantised weights. Choose 'ddp', or another tuning.")
    names = unit_names(model)
    blocks = [_bytes(module.parameters()) for module in model.modules() if type(module).__name__ in names]
    everything = _bytes(model.parameters())
    # What is in no block stays whole through a step; of the blocks one is used while the next one comes.
    return everything / num_devices + (everything - sum(blocks) + 2 * max(blocks, default=0.0)) * (1 - 1 / num_devices)


def _precision(loop: LoopConfig) -> torch.autocast:
    return autocast(torch.device("cpu"), loop.precision)


def _width(model: LlavaForConditionalGeneration) -> int:
    return int(model.config.text_config.hidden_size)


def _bytes(parameters: Iterable[torch.Tensor]) -> float:
    return float(sum(parameter.numel() * parameter.element_size() for parameter in parameters))
