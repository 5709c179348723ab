"""What trains and what is frozen: set it, count it, say it."""

from functools import cache

from torch import nn
from transformers import PreTrainedModel

from radlet.models.architectures import ARCHITECTURES

PARTS = ("encoder", "projector", "language_model")
"""The parts of a report model."""


@cache
def _names_within(part: str) -> tuple[str, ...]:
    """Return what the names of a part's parameters contain, in any architecture; no two parts share a name."""
    return tuple(name for known in ARCHITECTURES for name in getattr(ARCHITECTURES[known], f"{part}_names"))


def part_of(parameter_name: str) -> str:
    """Return the part of a report model that a parameter belongs to."""
    # The projector first: it may lie within the encoder.
    for part in ("projector", "encoder"):
        if any(name in parameter_name for name in _names_within(part)):
            return part
    return "language_model"


def set_trainable(model: PreTrainedModel, parts: set[str]) -> None:
    """Let the named parts train and freeze the others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name) in parts)


def part_is_frozen(model: PreTrainedModel, part: str) -> bool:
    """Say whether nothing of a part trains."""
    return not any(p.requires_grad for name, p in model.named_parameters() if part_of(name) == part)


def is_frozen(module: nn.Module) -> bool:
    """Say whether the module has parameters and none of them trains."""
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def count_parameters(model: nn.Module, prefix: str | tuple[str, ...] = "") -> tuple[int, int]:
    """Return (trainable, all) parameters whose name starts with `prefix` (or one of them); shared ones count once."""
    parameters = [parameter for name, parameter in model.named_parameters() if name.startswith(prefix)]
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def count_by_part(model: PreTrainedModel) -> dict[str, tuple[int, int]]:
    """Return (trainable, all) parameters of each part of a report model."""
    counts = dict.fromkeys(PARTS, (0, 0))
    for name, parameter in model.named_parameters():
        trainable, total = counts[part_of(name)]
        counts[part_of(name)] = (trainable + parameter.numel() * parameter.requires_grad, total + parameter.numel())
    return counts
