"""What trains and what is frozen: set it, count it, say it."""

from torch import nn
from transformers import LlavaForConditionalGeneration

PARTS = {
    "encoder": "vision_tower.",
    "projector": "multi_modal_projector.",
    "language_model": "",
}


def part_of(parameter_name: str) -> str:
    """Return the part of a report model that a parameter belongs to."""
    return next(part for part, prefix in PARTS.items() if prefix in parameter_name)


def set_trainable(model: LlavaForConditionalGeneration, parts: set[str]) -> None:
    """Let the named parts train and freeze the others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name) in parts)


def is_frozen(module: nn.Module) -> bool:
    """Say whether the module has parameters and none of them trains."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def count_parameters(model: nn.Module, prefix: str | tuple[str, ...] = "") -> tuple[int, int]:
    """Return (trainable, all) parameters whose name starts with `prefix` (or one of them); shared ones count once."""
    parameters = [parameter for name, parameter in model.named_parameters() if name.startswith(prefix)]
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def count_by_part(model: LlavaForConditionalGeneration) -> dict[str, tuple[int, int]]:
    """Return (trainable, all) parameters of each part of a report model."""
    counts = dict.fromkeys(PARTS, (0, 0))
    for name, parameter in model.named_parameters():
        trainable, total = counts[part_of(name)]
        counts[part_of(name)] = (trainable + parameter.numel() * parameter.requires_grad, total + parameter.numel())
    return counts
