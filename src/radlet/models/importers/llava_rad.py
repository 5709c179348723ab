"""Import LLaVA-Rad as published: its files and Vicuna 7B v1.5 become one LLaVA checkpoint of transformers.

The image encoder is renamed, the projector is renamed, and the low-rank updates are merged into the language model:
``W + alpha / rank B A`` in float32, rounded once to the type that is written. Tensors stream from file to shard, so
memory holds a shard or two, whatever the size of the language model.

The vocabulary stays the published one. transformers marks the place of a film by a token id, which must have a row of
embeddings; the tokenizer's unknown token lends its own, since byte fallback leaves that token without any use.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import GenerationConfig, LlavaConfig, PreTrainedTokenizerBase

from radlet import __version__
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.runs import write_atomically
from radlet.models.importers.key_report import KeyReport
from radlet.models.importers.llava_rad_files import ADAPTER, PAIR, PROJECTOR, LlavaRadFiles, weight_files
from radlet.models.importers.llava_rad_keys import check_complete, map_encoder, map_projector, pair_updates
from radlet.models.importers.tensor_files import ShardWriter, TensorFiles
from radlet.models.importers.timm_vit import dinov2_config
from radlet.models.importers.unpickling import unpickle
from radlet.models.prompts import PromptConfig
from radlet.models.report_model import CARD, ModelCard, save_processor
from radlet.models.tokenizers import lend_unknown_to_image

Dtype = Literal["as-published", "float32", "bfloat16", "float16"]

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
"""The system sentence of the Vicuna v1.5 template."""
PROMPT = PromptConfig(template=SYSTEM + " USER: {images}\n{question} ASSISTANT:", max_indication_chars=8192)
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
    """Write the checkpoint, whole or not at all.

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
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already. Give a folder that is not, or is empty.")
    out.parent.mkdir(parents=True, exist_ok=True)
    report = KeyReport()
    with _beside(out) as temporary:
        folder = temporary / "checkpoint"
        folder.mkdir()
        progress.console.print("  reading the encoder, the projector and the updates")
        tower, config = _read_encoder(files, temporary, report)
        path = files.folder / PROJECTOR
        projector = map_projector(path, TensorFiles(unpickle(path, temporary / "projector").parts).all(), report)
        tokenizer = lend_unknown_to_image(files.language_model_dir)
        config = _llava_config(files, config, tokenizer)
        writer = ShardWriter(folder)
        for name, tensor in (tower | projector).items():
            writer.add(name, _cast(tensor, dtype))
        _write_language_model(files, temporary, writer, report, dtype, progress)
        writer.close()
        check_complete(files.folder, config, writer.shapes)
        _write_beside(folder, files, config, tokenizer, image_path(files.size_px), dtype)
        progress.console.print("  hashing the published files")
        report.write(
            folder,
            progress.track(files.sources(), "files", len(files.sources())),
            kind="llava-rad",
            dtype=dtype,
            rank=files.rank,
            alpha=files.alpha,
        )
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return report


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """Make a folder on the disk of `out` and take it away again, whatever happens."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_encoder(files: LlavaRadFiles, temporary: Path, report: KeyReport) -> tuple[dict[str, torch.Tensor], Any]:
    """Return the tower's tensors by their names in the checkpoint, and its configuration."""
    path = files.folder / PAIR
    found = unpickle(path, temporary / "encoder")
    for name in found.left_out:
        report.dropped("training state", f"{PAIR}: {name}", "no weights, or state of the optimiser")
    trunk, tower = map_encoder(path, TensorFiles(found.parts).all(), report)
    config = dinov2_config(trunk, files.size_px, files.num_heads)
    if config.hidden_size != files.mm_hidden_size:
        raise CheckpointError(
            f"{path}: the encoder is {config.hidden_size} wide, and config.json says {files.mm_hidden_size}. Give "
            "files that belong together."
        )
    return tower, config


def _write_language_model(
    files: LlavaRadFiles, temporary: Path, writer: ShardWriter, report: KeyReport, dtype: Dtype, progress: Progress
) -> None:
    """Stream the language model into the shards, file by file, with every update merged."""
    paths = weight_files(files.language_model_dir)
    parts: list[Path] = []
    for path in progress.track(paths, "reading", len(paths)):
        pickled = path.suffix != ".safetensors"
        parts += unpickle(path, temporary / path.stem).parts if pickled else [path]
    weights = TensorFiles(parts)
    updates = pair_updates(
        files.folder / ADAPTER, TensorFiles(files.adapter_files(temporary)).all(), weights.shapes, files.rank, report
    )
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


def _llava_config(files: LlavaRadFiles, vision: Any, tokenizer: PreTrainedTokenizerBase) -> LlavaConfig:
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
        tuning="lora",
        licence=LICENCE,
    )
    save_processor(tokenizer, config, card, image.processor, folder)
    write_atomically(folder / CARD, card.model_dump_json(indent=2) + "\n")
