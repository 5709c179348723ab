"""Import an open_clip pair, such as BiomedCLIP: image tower, text tower and heads become folders of transformers.

The folder that is read holds open_clip's configuration and one file of weights: the plain state of a release, or a
training checkpoint, whose names carry ``module.``. The image tower is a timm vision transformer, with LayerScale
(DINOv2's kind) or without; the text tower is a BERT of transformers.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, BertConfig, PretrainedConfig

from radlet.core.errors import CheckpointError
from radlet.core.runs import write_atomically
from radlet.models.importers.key_report import KeyReport, refuse
from radlet.models.importers.staging import staged
from radlet.models.importers.tensor_files import TensorFiles
from radlet.models.importers.timm_vit import DINOV2, VIT, convert_tower, dinov2_config, vit_config
from radlet.models.importers.unpickling import unpickle
from radlet.models.loading import LOADING_ERRORS, first_line, load_strictly
from radlet.models.towers import load_tower

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Names under which open_clip publishes weights; else the only .safetensors, .bin or .pt file there is."""
RESIZE_MODES = {"shortest": "crop", "squash": "squash", "longest": "pad", None: "crop"}
"""open_clip's ways of making films square -> ours; it takes the first where it is told none."""

State = dict[str, torch.Tensor]
_HEADS = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16}
_TRUNK, _TEXT = "visual.trunk.", "text.transformer."
_COUNTED = "embeddings.position_ids"
_HEAD_NAMES = {
    "visual.head.proj.weight": "image_projection.weight",
    "visual.head.mlp.fc1.weight": "image_projection.fc1.weight",
    "visual.head.mlp.fc1.bias": "image_projection.fc1.bias",
    "visual.head.mlp.fc2.weight": "image_projection.fc2.weight",
    "visual.head.mlp.fc2.bias": "image_projection.fc2.bias",
    "text.proj.weight": "text_projection.weight",
    "text.proj.0.weight": "text_projection.0.weight",
    "text.proj.2.weight": "text_projection.2.weight",
    "logit_scale": "logit_scale",
    "logit_bias": "logit_bias",
}


@dataclass(frozen=True)
class OpenClipFiles:
    """What of an open_clip folder is read.

    Attributes:
        config: The configuration's file.
        weights: The file of weights.
        model: Table of the model: towers and embedding.
        preprocessing: Mean, deviation, interpolation and way of resizing; empty where the file tells none.
    """

    config: Path
    weights: Path
    model: dict[str, Any]
    preprocessing: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "OpenClipFiles":
        """Find and read the configuration, and find the weights.

        Raises:
            CheckpointError: A file is missing, or there are several and none has open_clip's own name.
        """
        config = _only(folder, [CONFIG], ["*.json"], "configuration")
        weights = _only(folder, list(WEIGHTS), ["*.safetensors", "*.bin", "*.pt"], "file of weights")
        try:
            content = json.loads(config.read_text(encoding="utf-8"))
            model = content.get("model_cfg", content)
            vision = model["vision_cfg"]
            usable = isinstance(vision["image_size"], int) and isinstance(vision["timm_model_name"], str)
        except (ValueError, KeyError, TypeError, AttributeError):
            usable = False
        if not usable:
            raise CheckpointError(
                f"{config}: tells no vision_cfg with image_size and timm_model_name. Give an open_clip "
                "pair whose image tower is a timm vision transformer."
            )
        return cls(config, weights, model, _preprocessing(config, content.get("preprocess_cfg") or {}))

    @property
    def size_px(self) -> int:
        """Side of the films."""
        return int(self.model["vision_cfg"]["image_size"])

    @property
    def num_heads(self) -> int:
        """Attention heads of the image tower, which weights do not tell.

        Raises:
            CheckpointError: The architecture's name tells no known size.
        """
        name = self.model["vision_cfg"]["timm_model_name"]
        size = name.split("_")[1] if name.startswith("vit_") else ""
        if size not in _HEADS:
            raise CheckpointError(
                f"{self.config}: names the image tower '{name}'; vit_{{{','.join(_HEADS)}}}_… of timm can be converted."
            )
        return _HEADS[size]


def import_open_clip(
    files: OpenClipFiles, bert_dir: Path | None, out: Path, preprocessor: Callable[[OpenClipFiles], dict[str, Any]]
) -> KeyReport:
    """Write ``encoder/``, ``text_encoder/`` and ``heads.safetensors`` under `out`, whole or not at all.

    Args:
        files: What is imported.
        bert_dir: Folder with the configuration and tokenizer files of the text tower's BERT; None leaves the text
            tower and both heads out, and says so.
        out: Folder to write; must not exist, or be empty.
        preprocessor: From the files to the content of ``preprocessor_config.json``.

    Raises:
        CheckpointError: A file cannot be read, or a key is unknown, missing or of another shape.
        ConfigError: `out` is there already.
    """
    report = KeyReport()
    with staged(out) as (folder, temporary):
        state = _read_state(files.weights, temporary, report)
        _write_encoder(files, state, folder / "encoder", report)
        write_atomically(
            folder / "encoder" / "preprocessor_config.json", json.dumps(preprocessor(files), indent=1) + "\n"
        )
        _write_text_side(state, bert_dir, folder, report)
        refuse(files.weights, [f"{name} is unknown" for name in state], "Give an open_clip pair as published.")
        report.write(folder, [files.config, files.weights], kind="open-clip")
    return report


def _only(folder: Path, names: list[str], patterns: list[str], what: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    found = sorted({path for pattern in patterns for path in folder.glob(pattern) if "tokenizer" not in path.name})
    if len(found) != 1:
        raise CheckpointError(
            f"{folder}: holds {len(found)} files that may be the {what}, and none called {' or '.join(names)}. Give a "
            "folder with the published files alone."
        )
    return found[0]


def _read_state(path: Path, temporary: Path, report: KeyReport) -> State:
    """Return every tensor, without what training on several devices put before the names."""
    if path.suffix == ".safetensors":
        state = TensorFiles([path]).all()
    else:
        found = unpickle(path, temporary / "weights")
        for name in found.left_out:
            report.dropped("training state", name, "no weights, or state of the optimiser")
        state = TensorFiles(found.parts).all()
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _take(state: State, start: str) -> State:
    """Move the tensors of a part out of the state, and their names off its start."""
    return {name.removeprefix(start): state.pop(name) for name in list(state) if name.startswith(start)}


def _write_encoder(files: OpenClipFiles, state: State, folder: Path, report: KeyReport) -> None:
    trunk = _take(state, _TRUNK)
    layer_scale = "blocks.0.ls1.gamma" in trunk
    converted = convert_tower(trunk, DINOV2 if layer_scale else VIT)
    refuse(
        files.weights,
        [f"{_TRUNK}{name} is unknown" for name in converted.unknown],
        "Only plain timm vision transformers, with or without LayerScale, are converted.",
    )
    config = (dinov2_config if layer_scale else vit_config)(trunk, files.size_px, files.num_heads)
    for name, targets in converted.mapped.items():
        report.mapped("image tower", _TRUNK + name, targets, "cut into three" if len(targets) == 3 else "")
    _save(folder, config, converted.tensors, "Dinov2Model" if layer_scale else "ViTModel")
    load_tower(folder, files.size_px)  # says what is missing


def _save(folder: Path, config: PretrainedConfig, tensors: State, class_name: str) -> None:
    folder.mkdir(parents=True)
    config.architectures = [class_name]
    config.save_pretrained(folder)
    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})


def _write_text_side(state: State, bert_dir: Path | None, folder: Path, report: KeyReport) -> None:
    text = _take(state, _TEXT)
    heads = {name: state.pop(name) for name in _HEAD_NAMES if name in state}
    if bert_dir is None:
        for name in [*(_TEXT + name for name in text), *heads]:
            report.dropped("text tower and heads", name, "no folder of its BERT was given (--bert)")
        return
    counted = text.pop(_COUNTED, None)
    if counted is not None:
        report.dropped("text tower", _TEXT + _COUNTED, "counted anew by transformers")
    for name in text:
        report.mapped("text tower", _TEXT + name, [name])
    for name in heads:
        report.mapped("heads", name, [_HEAD_NAMES[name]])
    config = _read_bert_config(bert_dir)
    _save(folder / "text_encoder", config, text, "BertModel")
    load_strictly(AutoModel, folder / "text_encoder", "text tower", may_be_fresh=("pooler.",))
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (bert_dir / name).is_file():
            shutil.copyfile(bert_dir / name, folder / "text_encoder" / name)
    whole = {_HEAD_NAMES[name]: tensor.contiguous().clone() for name, tensor in heads.items()}
    save_file(whole, folder / "heads.safetensors")


def _preprocessing(path: Path, told: Any) -> dict[str, Any]:
    """Return what the file tells of preprocessing.

    Raises:
        CheckpointError: It is no table, or films are made square in a way that is not known.
    """
    problems = [] if isinstance(told, dict) else ["preprocess_cfg is no table"]
    if not problems:
        problems += [
            f"{name} is {told[name]!r}" for name in ("mean", "std") if not isinstance(told.get(name) or [], list)
        ]
        mode = told.get("resize_mode")
        problems += [f"resize_mode is {mode!r}"] if mode not in tuple(RESIZE_MODES) else []
    refuse(path, problems, f"Three numbers each, and one of {', '.join(filter(None, RESIZE_MODES))}, can be repeated.")
    return {name: value for name, value in told.items() if value is not None}


def _read_bert_config(folder: Path) -> BertConfig:
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: holds no config.json. Place that of the text tower's BERT there.")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{folder}: config.json cannot be read: {first_line(error)}") from None
    if not isinstance(config, BertConfig):
        raise CheckpointError(f"{folder}: is a {config.model_type}. Give the folder of the text tower's BERT.")
    return config
