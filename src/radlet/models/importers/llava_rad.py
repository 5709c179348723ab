"""Import LLaVA-Rad as published: its files and Vicuna 7B v1.5 become one LLaVA checkpoint of transformers.

The image encoder is renamed, the projector is renamed, and the low-rank updates are merged into the language model:
``W + alpha / rank B A`` in float32, rounded once to the type that is written. Tensors stream from file to shard, so
memory holds a shard or two, whatever the size of the language model.

The vocabulary stays the published one. transformers marks the place of a film by a token id, which must have a row of
embeddings; the tokenizer's unknown token lends its own, since byte fallback leaves that token without any use.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil, Dinov2Config, GenerationConfig, LlavaConfig, PreTrainedTokenizerBase

from radlet import __version__
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError
from radlet.core.runs import Run, write_atomically
from radlet.models.importers.key_report import KeyReport
from radlet.models.importers.llava_rad_files import PAIR, PROJECTOR, LlavaRadFiles
from radlet.models.importers.llava_rad_keys import State, check_complete, map_encoder, map_projector, pair_updates
from radlet.models.importers.staging import staged
from radlet.models.importers.tensor_files import ShardWriter, TensorFiles
from radlet.models.importers.timm_vit import dinov2_config
from radlet.models.importers.unpickling import unpickle_all
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import CARD, ModelCard, save_processor
from radlet.models.tokenizers import lend_unknown_to_image

Dtype = Literal["as-published", "float32", "bfloat16", "float16"]

PROMPT = PromptConfig(family="vicuna_v1", max_indication_chars=8192)
"""LLaVA-Rad's prompt; its code never cuts an indication."""
LICENCE = (
    "LLaVA-Rad's weights are published for research use only, not for clinical care; they were trained on MIMIC-CXR, "
    "and the terms of LLaMA 2 and Vicuna apply to the language model. Do not redistribute."
)


@dataclass(frozen=True)
class ImagePath:
    """How films become `pixel_values`, as a checkpoint keeps it.

    Attributes:
        settings: For ``radlet.json``.
        digest: Their hash.
        processor: Arguments of transformers' CLIP image processor that repeat them.
    """

    settings: dict[str, Any]
    digest: str
    processor: dict[str, Any]


def import_llava_rad(
    files: LlavaRadFiles, out: Path, image_path: Callable[[int], ImagePath], dtype: Dtype, progress: Progress
) -> KeyReport:
    """Write the checkpoint, whole or not at all, as a finished run that a recipe can name.

    Args:
        files: What is imported.
        out: Folder to write; must not exist, or be empty.
        image_path: From the films' side in px to the image path: shortest edge, then centre crop.
        dtype: Type of every weight; "as-published" leaves each as it is, and merged ones in the language model's.
        progress: Shown while working.

    Raises:
        CheckpointError: A file cannot be read, or a key is unknown, missing or of another shape.
        ConfigError: `out` is there already.
    """
    report = KeyReport()
    with staged(out) as (folder, temporary):
        progress.console.print("  reading what is pickled, in a process of its own")
        read = _unpickled(files, temporary, report)
        trunk, tower = map_encoder(files.folder / PAIR, TensorFiles(read[files.folder / PAIR]).all(), report)
        vision = _vision_config(files, trunk)
        projector = map_projector(files.folder / PROJECTOR, TensorFiles(read[files.folder / PROJECTOR]).all(), report)
        tokenizer = lend_unknown_to_image(files.language_model_dir)
        config = _llava_config(files, vision, tokenizer)
        writer = ShardWriter(folder)
        for name, tensor in (tower | projector).items():
            writer.add(name, _cast(tensor, dtype))
        _write_language_model(files, read, writer, report, dtype, progress)
        writer.close()
        image = image_path(files.size_px)
        _write_encoder(folder / "encoder", vision, tower, image)
        check_complete(files.folder, config, writer.shapes)
        _write_beside(folder, files, config, tokenizer, image, dtype)
        progress.console.print("  hashing the published files")
        report.write(
            folder,
            progress.track(files.sources(), "files", len(files.sources())),
            kind="llava-rad",
            dtype=dtype,
            rank=files.rank,
            alpha=files.alpha,
        )
        progress.console.print("  hashing what was written")
        Run(folder, finished=False).finish()
    return report


def _unpickled(files: LlavaRadFiles, temporary: Path, report: KeyReport) -> dict[Path, tuple[Path, ...]]:
    """Return the safetensors files of every file of weights: itself, or what it was unpickled to."""
    paths = [files.folder / PAIR, files.folder / PROJECTOR, files.adapter, *files.weights]
    found = unpickle_all([path for path in paths if path.suffix != ".safetensors"], temporary)
    for path, one in found.items():
        for name in one.left_out:
            report.dropped("training state", f"{path.name}: {name}", "no weights, or state of the optimiser")
    return {path: found[path].parts if path in found else (path,) for path in paths}


def _vision_config(files: LlavaRadFiles, trunk: Mapping[str, torch.Tensor]) -> Dinov2Config:
    config = dinov2_config(trunk, files.size_px, files.num_heads)
    if config.hidden_size != files.mm_hidden_size:
        raise CheckpointError(
            f"{files.folder / PAIR}: the encoder is {config.hidden_size} wide, and config.json says "
            f"{files.mm_hidden_size}. Give files that belong together."
        )
    return config


def _write_language_model(
    files: LlavaRadFiles,
    read: Mapping[Path, tuple[Path, ...]],
    writer: ShardWriter,
    report: KeyReport,
    dtype: Dtype,
    progress: Progress,
) -> None:
    """Stream the language model into the shards, file by file, with every update merged."""
    weights = TensorFiles(part for path in files.weights for part in read[path])
    published = TensorFiles(read[files.adapter]).all()
    updates = pair_updates(files.adapter, published, weights.shapes, files.rank, files.targets, report)
    for name, tensor in progress.track(weights.items(), "merging", len(weights.shapes)):
        if name.endswith(".rotary_emb.inv_freq"):
            report.dropped("language model", name, "computed from the configuration")
            continue
        report.mapped("language model", name, [f"language_model.{name}"], "updated" if name in updates else "")
        merged = _merge(tensor, *updates[name], files.alpha / files.rank) if name in updates else tensor
        writer.add(
            f"language_model.{name}", _cast(merged.to(tensor.dtype) if dtype == "as-published" else merged, dtype)
        )


def _merge(weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor, scale: float) -> torch.Tensor:
    """Return ``W + scale B A`` in float32."""
    return torch.addmm(weight.float(), up.float(), down.float(), alpha=scale)


def _cast(tensor: torch.Tensor, dtype: Dtype) -> torch.Tensor:
    return tensor if dtype == "as-published" else tensor.to(getattr(torch, dtype))


def _llava_config(files: LlavaRadFiles, vision: Dinov2Config, tokenizer: PreTrainedTokenizerBase) -> LlavaConfig:
    text = files.text_config
    if len(tokenizer) != text.vocab_size:
        raise CheckpointError(
            f"{files.language_model_dir}: the tokenizer has {len(tokenizer)} entries and the model {text.vocab_size} "
            "rows. Give Vicuna 7B v1.5 as published."
        )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.unk_token_id,
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
    )


def _write_encoder(folder: Path, config: Dinov2Config, tower: State, image: ImagePath) -> None:
    """Write the image encoder once more, by itself and as published: what `pretrain` and `align` can start from."""
    config.save_pretrained(folder)
    alone = {name.removeprefix("vision_tower."): tensor.contiguous() for name, tensor in tower.items()}
    save_file(alone, folder / "model.safetensors", metadata={"format": "pt"})
    CLIPImageProcessorPil(**image.processor).save_pretrained(folder)


def _write_beside(
    folder: Path,
    files: LlavaRadFiles,
    config: LlavaConfig,
    tokenizer: PreTrainedTokenizerBase,
    image: ImagePath,
    dtype: Dtype,
) -> None:
    """Write everything of the checkpoint that is not weights."""
    own = files.text_config.dtype or torch.float32
    config.dtype = own if dtype == "as-published" else getattr(torch, dtype)
    config.architectures = ["LlavaForConditionalGeneration"]
    config.save_pretrained(folder)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(folder)
    card = ModelCard(
        radlet_version=__version__,
        kind="report_model",
        image=image.settings,
        image_digest=image.digest,
        prompt=PROMPT,
        feature_layer=-2,
        max_new_tokens=256,
        tuning="lora",
        licence=LICENCE,
    )
    save_processor(tokenizer, config, card, image.processor, folder)
    write_atomically(folder / CARD, card.model_dump_json(indent=2) + "\n")
