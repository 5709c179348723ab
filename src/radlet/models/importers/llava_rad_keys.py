"""Every key of LLaVA-Rad's published files, and what it becomes: nothing here reads a file or computes with weights."""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration
from transformers.core_model_loading import revert_weight_conversion

from radlet.core.errors import CheckpointError
from radlet.models.importers.key_report import KeyReport, refuse
from radlet.models.importers.timm_vit import convert_tower

State = dict[str, torch.Tensor]

_PARALLEL, _TRUNK = "module.", "module.visual.trunk."
_PROJECTOR = {
    f"base_model.model.model.mm_projector.{old}.{end}": f"multi_modal_projector.linear_{new}.{end}"
    for old, new in ((0, 1), (2, 2))
    for end in ("weight", "bias")
}
_UPDATE = "base_model.model."
_CONTRASTIVE = ("module.text.transformer.", "module.text.proj.", "module.visual.head.proj.", "module.logit_scale")
_UNUSED = {
    "module.text.transformer.pooler.": "unused by the encoder's training too",
    "module.text.transformer.embeddings.position_ids": "counted anew by transformers",
    "module.": "of contrastive training, not of drafting: radlet import open-clip",
}
"""Why drafting goes without what stands beside the image encoder; the first start of a name that fits counts."""


def map_encoder(path: Path, state: State, report: KeyReport) -> tuple[State, State]:
    """Return the image encoder under timm's names and under those of the checkpoint.

    Raises:
        CheckpointError: A key is unknown.
    """
    if any(not name.startswith(_PARALLEL) for name in state):
        raise CheckpointError(f"{path}: not every key starts with '{_PARALLEL}'. Give the published checkpoint.")
    trunk = {name.removeprefix(_TRUNK): tensor for name, tensor in state.items() if name.startswith(_TRUNK)}
    converted = convert_tower(trunk)
    unknown = [_TRUNK + name for name in converted.unknown]
    for name in state:
        if name.startswith(_TRUNK):
            continue
        if not name.startswith(_CONTRASTIVE):
            unknown.append(name)
        else:
            reason = next(reason for start, reason in _UNUSED.items() if name.startswith(start))
            report.dropped("contrastive side", name, reason)
    refuse(path, [f"{name} is unknown" for name in unknown], "Give the published checkpoint.")
    for name, targets in converted.mapped.items():
        how = "cut into three" if len(targets) == 3 else ""
        report.mapped("encoder", _TRUNK + name, [f"vision_tower.{target}" for target in targets], how)
    return trunk, {f"vision_tower.{name}": tensor for name, tensor in converted.tensors.items()}


def map_projector(path: Path, state: State, report: KeyReport) -> State:
    """Return the projector under the names of the checkpoint.

    Raises:
        CheckpointError: A key is missing or unknown.
    """
    problems = [f"{name} is missing" for name in _PROJECTOR if name not in state]
    problems += [f"{name} is unknown" for name in state if name not in _PROJECTOR]
    refuse(path, problems, "Give the published file.")
    for name in state:
        report.mapped("projector", name, [_PROJECTOR[name]])
    return {_PROJECTOR[name]: tensor for name, tensor in state.items()}


def pair_updates(
    path: Path,
    state: State,
    shapes: Mapping[str, tuple[int, ...]],
    rank: int,
    targets: Collection[str],
    report: KeyReport,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return ``name of the weight -> (A, B)``, every pair whole and of the shape that its weight needs.

    Args:
        path: Where the updates come from, for messages.
        state: The updates under their published names.
        shapes: Names and shapes of the language model.
        rank: Of the updates, by their configuration.
        targets: Names of the layers that are updated, by the same; each of them must be, wherever it stands.
        report: Told of every key.

    Raises:
        CheckpointError: A key is unknown, has no weight, no other half, or another shape.
    """
    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    problems = [] if state else ["there is no update"]
    for name, tensor in state.items():
        stem, half, end = name.removeprefix(_UPDATE).rpartition(".lora_")
        weight = f"{stem}.weight"
        if not (name.startswith(_UPDATE) and half and end in ("A.weight", "B.weight")):
            problems.append(f"{name} is unknown")
            continue
        if weight not in shapes:
            problems.append(f"{name} has no weight {weight} in the language model")
            continue
        report.merged("updates", name, f"language_model.{weight}", "W + alpha / rank B A in float32")
        other = state.get(f"{_UPDATE}{stem}.lora_{'B' if end[0] == 'A' else 'A'}.weight")
        rows, columns = shapes[weight]
        shape = (rank, columns) if end[0] == "A" else (rows, rank)
        if other is None:
            problems.append(f"{name} stands without its other half")
        elif tuple(tensor.shape) != shape:
            problems.append(f"{name} is {tuple(tensor.shape)} instead of {shape}, rank {rank} by its configuration")
        elif end[0] == "A":
            pairs[weight] = (tensor, other)
    ends = tuple(f".{target}.weight" for target in targets)
    updated = (f"{_UPDATE}{name.removesuffix('.weight')}.lora_A.weight" for name in shapes if name.endswith(ends))
    problems += [f"{name} is missing" for name in updated if name not in state]
    refuse(path, problems, "Give the adapter that belongs to adapter_config.json and this language model.")
    return pairs


def check_complete(where: Path, config: LlavaConfig, written: Mapping[str, tuple[int, ...]]) -> None:
    """Hold what was written against the model that the configuration describes, name by name and shape by shape.

    Raises:
        CheckpointError: A name is missing or too many, or a shape is another.
    """
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in revert_weight_conversion(model, model.state_dict()).items()}
    problems = [f"{name} is missing" for name in wanted if name not in written]
    problems += [f"{name} is too many" for name in written if name not in wanted]
    problems += [
        f"{name} is {written[name]} instead of {shape}"
        for name, shape in wanted.items()
        if name in written and written[name] != shape
    ]
    refuse(where, problems, "Give published files and a language model that belong together.")
