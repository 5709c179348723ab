"""The published files of LLaVA-Rad: found, read, and held against each other before any weight is touched."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from transformers import AutoConfig, LlamaConfig

from radlet.core.errors import CheckpointError
from radlet.models.importers.key_report import refuse
from radlet.models.loading import LOADING_ERRORS

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
PROJECTOR = "non_lora_trainables.bin"
PAIR_CONFIG = "biomedclipcxr_518.json"
PAIR = "biomedclipcxr_518_checkpoint.pt"

_REMEDY = "Give the folder with the published files, or a language model that is the one they were made with."
_PUBLISHED: dict[str, Any] = {
    "mm_vision_select_layer": -2,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "mm_vision_select_feature": "patch",
}
"""What the published configuration says of the way films enter; another model would say otherwise."""
_SAME = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "rms_norm_eps",
    "hidden_act",
)
"""What the published configuration and that of the language model must agree on."""
_PLAIN_LORA: dict[str, tuple[Any, ...]] = {
    "use_dora": (None, False),
    "use_rslora": (None, False),
    "fan_in_fan_out": (None, False),
    "bias": (None, "none"),
    "modules_to_save": (None, []),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "layers_to_transform": (None,),
}
"""Settings of an adapter under which an update is not plainly ``alpha / rank B A``."""
_HEADS = {"vit_small": 6, "vit_base": 12, "vit_large": 16}
"""Attention heads of timm's architectures, which their weights do not tell."""


@dataclass(frozen=True)
class LlavaRadFiles:
    """The published configurations, checked.

    Attributes:
        folder: The published files.
        language_model_dir: The language model they were trained over.
        text_config: Its configuration.
        pair: The open_clip configuration of the image encoder and its text tower.
        rank: Of the updates.
        alpha: Their scale; their weight is alpha / rank.
        targets: Names of the layers that they update.
        mm_hidden_size: Width of the image encoder as published.
    """

    folder: Path
    language_model_dir: Path
    text_config: LlamaConfig
    pair: dict[str, Any]
    rank: int
    alpha: float
    targets: tuple[str, ...]
    mm_hidden_size: int

    @classmethod
    def read(cls, folder: Path, language_model_dir: Path) -> Self:
        """Read and check the configurations.

        Raises:
            CheckpointError: A file is missing or cannot be read, or the files do not belong together.
        """
        adapters = ("adapter_model.bin", "adapter_model.safetensors")
        for names in ((PAIR,), (PROJECTOR,), adapters):
            if not any((folder / name).is_file() for name in names):
                raise CheckpointError(f"{folder}: holds no {names[0]}. Place all files of the publication there.")
        published, adapter, pair = (_read_json(folder / name) for name in (CONFIG, ADAPTER_CONFIG, PAIR_CONFIG))
        _check_pair(folder / PAIR_CONFIG, pair)
        text_config = _read_language_model(language_model_dir)
        _check_config(folder / CONFIG, published, text_config)
        rank: Any = adapter.get("r")
        alpha: Any = adapter.get("lora_alpha")
        targets = adapter.get("target_modules")
        is_rank, is_alpha = type(rank) is int and rank > 0, type(alpha) in (int, float) and alpha > 0
        if not (is_rank and is_alpha and isinstance(targets, list) and targets):
            raise CheckpointError(
                f"{folder / ADAPTER_CONFIG}: tells no rank r, lora_alpha and list of target_modules. {_REMEDY}"
            )
        special = [
            f"{name} = {adapter[name]!r}"
            for name, plain in _PLAIN_LORA.items()
            if name in adapter and adapter[name] not in plain
        ]
        refuse(folder / ADAPTER_CONFIG, special, "Only plain LoRA is merged here.")
        width = published["mm_hidden_size"]
        return cls(folder, language_model_dir, text_config, pair, rank, alpha, tuple(map(str, targets)), width)

    @property
    def size_px(self) -> int:
        """Side of the films."""
        return int(self.pair["vision_cfg"]["image_size"])

    @property
    def num_heads(self) -> int:
        """Attention heads of the image encoder.

        Raises:
            CheckpointError: The configuration names an architecture that is not known.
        """
        name = str(self.pair["vision_cfg"].get("timm_model_name"))
        heads = next((heads for start, heads in _HEADS.items() if name.startswith(f"{start}_")), None)
        if heads is None or "dinov2" not in name:
            raise CheckpointError(
                f"{self.folder / PAIR_CONFIG}: names the image encoder '{name}'; a DINOv2 of timm is needed, such as "
                "vit_base_patch14_dinov2.lvd142m."
            )
        return heads

    @property
    def adapter(self) -> Path:
        """The file with the updates: safetensors where there is one."""
        path = self.folder / "adapter_model.safetensors"
        return path if path.is_file() else path.with_suffix(".bin")

    @property
    def weights(self) -> list[Path]:
        """The language model's files of weights."""
        return weight_files(self.language_model_dir)

    def sources(self) -> list[Path]:
        """Return every file that is read."""
        own = [self.folder / name for name in (CONFIG, ADAPTER_CONFIG, PROJECTOR, PAIR_CONFIG, PAIR)]
        return [*own, self.adapter, self.language_model_dir / CONFIG, *self.weights]


def weight_files(folder: Path) -> list[Path]:
    """Return the files of weights of a Hugging Face folder, safetensors where there are any.

    Raises:
        CheckpointError: There is none, or one that the index names is missing.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{name}.index.json"
        if index.is_file():
            weight_map = _read_json(index).get("weight_map")
            if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
                raise CheckpointError(f"{index}: tells of no files. Fetch it again.")
            paths = [folder / file for file in sorted(set(weight_map.values()))]
            missing = [f"{path.name} is missing" for path in paths if not path.is_file()]
            refuse(folder, missing, f"{index.name} names it: fetch it again.")
            return paths
        if (folder / name).is_file():
            return [folder / name]
    raise CheckpointError(f"{folder}: holds no model.safetensors and no pytorch_model.bin. Give a language model.")


def _read_language_model(folder: Path) -> LlamaConfig:
    if not folder.is_dir():  # transformers would take it for the name of a model on a hub
        raise CheckpointError(f"{folder}: is no folder. Give the local folder of Vicuna 7B v1.5 with its tokenizer.")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{folder}: holds no language model ({type(error).__name__}). Give the local folder of Vicuna 7B v1.5."
        ) from None
    if not isinstance(config, LlamaConfig) or config.tie_word_embeddings:
        raise CheckpointError(
            f"{folder}: is a {config.model_type}{' with tied embeddings' * config.tie_word_embeddings}; LLaVA-Rad is "
            "over a Llama with a head of its own. Give the local folder of Vicuna 7B v1.5."
        )
    return config


def _check_pair(path: Path, pair: dict[str, Any]) -> None:
    vision = pair.get("vision_cfg")
    if not isinstance(vision, dict) or type(vision.get("image_size")) is not int:
        raise CheckpointError(f"{path}: tells no vision_cfg with image_size. {_REMEDY}")


def _check_config(path: Path, published: dict[str, Any], text_config: LlamaConfig) -> None:
    problems = [] if type(published.get("mm_hidden_size")) is int else ["mm_hidden_size is no number, or missing"]
    problems += [
        f"{name} is {published[name]!r} instead of {wanted!r}"
        for name, wanted in _PUBLISHED.items()
        if published.get(name, wanted) != wanted
    ]
    problems += [
        f"{name} is {published[name]!r}, and {getattr(text_config, name)!r} in the language model"
        for name in _SAME
        if name in published and published[name] != getattr(text_config, name)
    ]
    problems += [
        f"{name} of the positions is {said!r}, and {own!r} in the language model"
        for name, said, own in _rope_differences(published, text_config)
    ]
    refuse(path, problems, _REMEDY)


def _rope_differences(published: dict[str, Any], text_config: LlamaConfig) -> list[tuple[str, Any, Any]]:
    """Return what the two say otherwise of rotary positions; what neither tells is Llama's default."""
    told = {name: published[name] for name in ("rope_theta", "rope_scaling", "rope_parameters") if name in published}
    try:
        said = LlamaConfig(**told).rope_parameters or {}
    except LOADING_ERRORS:
        return [("setting", told, text_config.rope_parameters)]
    own = text_config.rope_parameters or {}
    names = sorted((said.keys() | own.keys()) - {"type"})  # the older name of rope_type, kept beside it
    return [(name, said.get(name), own.get(name)) for name in names if said.get(name) != own.get(name)]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(
            f"{path.parent}: holds no {path.name}. Place all files of the publication there."
        ) from None
    except ValueError:
        raise CheckpointError(f"{path}: is no JSON file, or is cut short. Fetch it again.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no table of settings. Fetch it again.")
    return content
