"""LLaVA-1.5 as its authors published it: written anew in the folder that transformers would have.

The language model and the projector are renamed; the image encoder, which the configuration only names, comes from a
folder of its own unless the weights hold it too. The vocabulary stays: the unknown token lends its place to films.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig, LlamaConfig, LlavaConfig, PretrainedConfig

from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError
from radlet.core.runs import write_atomically
from radlet.models.importers.key_report import KeyReport, refuse
from radlet.models.importers.llava_rad_files import weight_files
from radlet.models.importers.tensor_files import ShardWriter, TensorFiles
from radlet.models.importers.unpickling import unpickle
from radlet.models.loading import LOADING_ERRORS, first_line
from radlet.models.tokenizers import lend_unknown_to_image

_PREPROCESSOR = "preprocessor_config.json"
_NEEDED: dict[str, tuple[Any, ...]] = {
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_use_im_start_end": (False, None),
    "mm_use_im_patch_token": (False, None),
    "mm_vision_select_feature": ("patch", "cls_patch", None),
    "image_aspect_ratio": ("pad", "square", None),
    "architectures": (["LlavaLlamaForCausalLM"], None),
}
"""What can be repeated of the way films enter, and over which language model."""
_TOWER = "model.vision_tower.vision_tower."
_RENAMED = {
    "model.mm_projector.0.": "multi_modal_projector.linear_1.",
    "model.mm_projector.2.": "multi_modal_projector.linear_2.",
    _TOWER: "vision_tower.",
    "lm_head.": "language_model.lm_head.",
    "model.": "language_model.model.",
}
"""How names begin, published and in transformers' folders; the first that fits holds."""
_COMPUTED = ("rotary_emb.inv_freq", "embeddings.position_ids")


def write_beside(folder: Path, tower: Path | None, out: Path) -> list[Path]:
    """Write everything but the weights as transformers has LLaVA, and return the files of the tower that were read.

    Args:
        folder: As published.
        tower: Folder of the image encoder that the configuration names.
        out: Folder to make.

    Raises:
        CheckpointError: A file is missing or cannot be read, or the model is of a kind that cannot be repeated.
        ConfigError: No tower is given.
    """
    published = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    problems = [f"{name} is {published[name]!r}" for name, known in _NEEDED.items() if published.get(name) not in known]
    refuse(folder / "config.json", problems, "Only LLaVA-1.5 is read, one crop a film, over a Llama.")
    if tower is None:
        raise ConfigError(
            f"--tower: is needed, for config.json only names the image encoder ({published.get('mm_vision_tower')}). "
            "Give its local folder."
        )
    out.mkdir()
    _write_config(folder, published, _read_tower_config(tower), out)
    _write_preprocessor(tower, published, out)
    return [tower / "config.json", tower / _PREPROCESSOR]


def write_weights(folder: Path, tower: Path, out: Path, report: KeyReport, progress: Progress) -> list[Path]:
    """Write the weights into `out` by transformers' names, and return the files of the tower that were read.

    Raises:
        CheckpointError: A file is missing or cannot be read.
    """
    writer = ShardWriter(out)
    own_tower = False
    for name, tensor in _tensors(folder, out / "unpickled", progress):
        own_tower |= name.startswith(_TOWER)
        target = _new_name(name)
        if name.endswith(_COMPUTED):
            report.dropped(_group(target), name, "computed from the configuration")
            continue
        report.mapped(_group(target), name, [target])
        writer.add(target, tensor.clone())
    if not own_tower:
        _add_tower(tower, out / "unpickled", writer, report, progress)
    writer.close()
    return [] if own_tower else weight_files(tower)


def _group(target: str) -> str:
    part = target.partition(".")[0]
    return {"vision_tower": "encoder", "multi_modal_projector": "projector"}.get(part, "language model")


def _new_name(name: str) -> str:
    start = next((start for start in _RENAMED if name.startswith(start)), None)
    if start is None:
        return name  # refused with all other unknown names, once the model is known
    return _RENAMED[start] + name.removeprefix(start)


def _tensors(folder: Path, temporary: Path, progress: Progress) -> Iterator[tuple[str, Any]]:
    """Yield every tensor of a folder by name, file by file."""
    paths = weight_files(folder)
    for number, path in enumerate(progress.track(paths, "reading", len(paths))):
        pickled = path.suffix != ".safetensors"
        place = temporary / f"{folder.name}-{number}"
        yield from TensorFiles(unpickle(path, place).parts if pickled else [path]).items()


def _add_tower(tower: Path, temporary: Path, writer: ShardWriter, report: KeyReport, progress: Progress) -> None:
    """Add the image encoder; the text side of a pair is left out."""
    for name, tensor in _tensors(tower, temporary, progress):
        bare = name.removeprefix("vision_model.")
        if bare == name and name.startswith(("text_model.", "text_projection.", "visual_projection.", "logit_scale")):
            report.dropped("text side of the tower", name, "LLaVA reads the image encoder alone")
        elif name.endswith(_COMPUTED):
            report.dropped("encoder", name, "computed from the configuration")
        else:
            target = f"vision_tower.vision_model.{bare}"
            report.mapped("encoder", name, [target])
            writer.add(target, tensor.clone())


def _read_tower_config(tower: Path) -> PretrainedConfig:
    if not tower.is_dir():
        raise CheckpointError(f"--tower {tower}: is no folder. Give the local folder of the image encoder.")
    try:
        config = AutoConfig.from_pretrained(tower, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"--tower {tower}: holds no image encoder ({type(error).__name__}).") from None
    vision = getattr(config, "vision_config", config)
    if vision.model_type != "clip_vision_model":
        raise CheckpointError(f"--tower {tower}: is a {config.model_type}; LLaVA-1.5 has the image encoder of CLIP.")
    return vision


def _write_config(folder: Path, published: dict[str, Any], vision: PretrainedConfig, out: Path) -> None:
    names = LlamaConfig().to_dict().keys() - {"model_type", "architectures"}
    try:
        text = LlamaConfig(**{name: value for name, value in published.items() if name in names})
        layer = int(published.get("mm_vision_select_layer", -2))
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{folder / 'config.json'}: cannot be read: {first_line(error)}") from None
    tokenizer = lend_unknown_to_image(folder)
    if vision.hidden_size != published.get("mm_hidden_size", vision.hidden_size):
        raise CheckpointError(
            f"--tower: is {vision.hidden_size} wide, and config.json says {published['mm_hidden_size']}. Give the "
            f"encoder that it names: {published.get('mm_vision_tower')}."
        )
    patches = (vision.image_size // vision.patch_size) ** 2
    drop_class = published.get("mm_vision_select_feature") != "cls_patch"
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.unk_token_id,
        image_seq_length=patches if drop_class else patches + 1,
        vision_feature_layer=layer,
        vision_feature_select_strategy="default" if drop_class else "full",
        projector_hidden_act="gelu",
    )
    config.architectures = ["LlavaForConditionalGeneration"]
    config.dtype = text.dtype
    config.save_pretrained(out)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    GenerationConfig(**ids).save_pretrained(out)
    tokenizer.save_pretrained(out)


def _write_preprocessor(tower: Path, published: dict[str, Any], out: Path) -> None:
    """Write the tower's preprocessor, and that films are padded if they are."""
    try:
        options = json.loads((tower / _PREPROCESSOR).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"--tower {tower}: holds no readable {_PREPROCESSOR} ({type(error).__name__}). Place it there."
        ) from None
    if published.get("image_aspect_ratio") == "pad":
        options["do_pad"] = True
    write_atomically(out / _PREPROCESSOR, json.dumps(options, indent=1) + "\n")
