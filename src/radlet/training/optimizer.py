"""The optimiser of the training loop: which parameters move at which rate, and which decay."""

from collections.abc import Iterator

import torch
from pydantic import Field
from torch import nn

from radlet.core.config import Config
from radlet.models.blocks import find_stacks
from radlet.models.freezing import part_of

_HEADS = ("image_", "label_", "class_", "text_", "logit_")
"""How the names of the heads of an image-text model begin."""


class RateScales(Config):
    """The learning rate of each part, relative to `lr`."""

    encoder: float = Field(default=1.0, ge=0)
    """Of the image encoder."""
    projector: float = Field(default=1.0, ge=0)
    """Of the projector; in pretraining, of the heads."""
    language_model: float = Field(default=1.0, ge=0)
    """Of the language model, or of what a tuning method adds to it."""


def build_optimizer(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    scales: RateScales | None = None,
    layer_decay: float = 1.0,
) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters; matrices decay, vectors never do.

    Each group has, beside its rate, a "scale": the part's own times ``layer_decay ** (blocks above)``. The loop sets
    a group's rate to the scheduled one times its scale.

    Args:
        model: What is trained.
        lr: Largest rate.
        weight_decay: Decoupled, of matrices.
        scales: Of the parts; all 1 if not given.
        layer_decay: Factor from a block to the one below it (Clark et al. 2020, ELECTRA; Bao et al. 2022, BEiT). What
            stands before the blocks of a part is one below the first of them, what stands behind them one above the
            last.
    """
    scales = scales or RateScales()
    depths = dict(_blocks_above(model)) if layer_decay != 1 else {}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = getattr(scales, _part(name)) * layer_decay ** depths.get(name, 0)
            groups.setdefault((scale, parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr * scale, "scale": scale, "weight_decay": weight_decay * decays}
            for (scale, decays), parameters in sorted(groups.items(), key=lambda item: item[0], reverse=True)
        ],
        lr=lr,
        betas=(0.9, 0.98),
        fused=True,
    )


def idle_rates(model: nn.Module, scales: RateScales, layer_decay: float) -> list[str]:
    """Say which settings of rates change nothing, because what they are of does not train.

    Args:
        model: What is trained.
        scales: Of the parts.
        layer_decay: Factor from a block to the one below it.
    """
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parts = {_part(name) for name in trained}
    told = [
        f"lr_scale.{part} = {getattr(scales, part):g} has no effect: nothing of the {part.replace('_', ' ')} trains"
        for part in RateScales.model_fields
        if getattr(scales, part) != 1 and part not in parts
    ]
    if layer_decay != 1 and not any(name in trained and depth for name, depth in _blocks_above(model)):
        told.append(f"layer_decay = {layer_decay:g} has no effect: no part that has blocks trains")
    return told


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the scheduled rate, each group's times its scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["scale"]


def _part(name: str) -> str:
    if name.startswith("encoder."):
        return "encoder"
    return "projector" if name.startswith(_HEADS) else part_of(name)


def _blocks_above(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield, for the parameters of every part that has blocks, how many steps they stand below the part's end."""
    names = [name for name, _ in model.named_parameters()]
    for stack in find_stacks(model):
        num_blocks = len(stack.blocks)
        part = _part(f"{stack.name}.")
        reached = 0
        for name in names:
            if _part(name) != part:
                continue
            if name.startswith(f"{stack.name}."):
                reached = int(name.removeprefix(f"{stack.name}.").partition(".")[0]) + 1
            elif reached:
                reached = num_blocks + 1
            yield name, num_blocks + 1 - reached
