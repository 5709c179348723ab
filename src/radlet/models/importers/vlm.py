"""Import a published vision-language model: its folder becomes a checkpoint that radlet can tune, run and explain.

The weights stay as they are. transformers knows the names that publishers write; every name in the files is told with
the name it has in the model, and the model must have no other. Files that are safetensors already are linked, not
copied; pickled ones are converted once.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, rename_source_key

from radlet import __version__
from radlet.core.console import Progress
from radlet.core.errors import CheckpointError, ConfigError, UnknownNameError
from radlet.core.runs import Run, write_atomically
from radlet.models.architectures import ARCHITECTURES
from radlet.models.architectures.base import Architecture
from radlet.models.freezing import part_of
from radlet.models.importers import original_llava
from radlet.models.importers.chat_prompts import chat_prompt
from radlet.models.importers.key_report import KeyReport, refuse
from radlet.models.importers.llava_rad import ImagePath
from radlet.models.importers.llava_rad_files import weight_files
from radlet.models.importers.tensor_files import ShardWriter, TensorFiles
from radlet.models.importers.unpickling import unpickle
from radlet.models.loading import LOADING_ERRORS
from radlet.models.prompts import PromptConfig, encode_prompt
from radlet.models.report_model import CARD, ModelCard, load_report_model

LICENCE = "The licence and the terms of use of the imported weights apply to these weights."
_BESIDE = ("*.json", "*.jinja", "*.txt", "*.model")
"""What is copied beside the weights: configuration, tokenizer, processor, chat template."""


@dataclass(frozen=True)
class VlmImport:
    """What is imported, and how.

    Attributes:
        folder: The published model.
        tower: Its image encoder, where that is published apart.
        family: A prompt family that stands for the chat template; None: the template.
        films: Which films of a study the model is shown.
        image_path: From the folder with the preprocessor, the architecture and its configuration to the image path.
    """

    folder: Path
    tower: Path | None
    family: str | None
    films: str
    image_path: Callable[[Path, Architecture, PretrainedConfig], ImagePath]


def import_vlm(given: VlmImport, out: Path, progress: Progress) -> KeyReport:
    """Write the checkpoint, whole or not at all, as a finished run that a recipe can name.

    Args:
        given: What is imported.
        out: Folder to write; must not exist, or be empty.
        progress: Shown while working.

    Raises:
        CheckpointError: A file cannot be read, a weight is missing, unknown or of another shape, or films or prompts
            are prepared in a way that cannot be repeated.
        ConfigError: `out` is there already, or a choice does not fit the model.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: is there already. Give a folder that is not, or is empty.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with _replaced(out, given.folder) as folder:
        report, source, family = KeyReport(), given.folder, given.family
        sources = [given.folder / "config.json", *weight_files(given.folder)]
        original = is_original_llava(given.folder)
        if original:
            source, family = folder.with_name(f"{folder.name}-as-transformers"), family or "vicuna_v1"
            sources += original_llava.write_beside(given.folder, given.tower, source)
        elif given.tower is not None:
            raise ConfigError("--tower: this model holds its own image encoder. Leave it out.")
        # All that can be refused without the weights is, before they are touched.
        config = _read_config(source)
        card = _make_card(given, source, family, config)
        if original and given.tower is not None:
            sources += original_llava.write_weights(given.folder, given.tower, source, report, progress)
        _write_weights(source, folder, progress)
        rows = name_weights(folder, ARCHITECTURES[config.model_type], config)
        for part, name, target in rows if not report.rows else ():
            report.mapped(part, name, [target])
        _copy_beside(source, folder)
        write_atomically(folder / CARD, card.model_dump_json(indent=2) + "\n")
        progress.console.print("  loading the checkpoint, as a stage will")
        _check_numbers(given.folder, load_report_model(folder).model)
        progress.console.print("  hashing the published files")
        report.write(folder, progress.track(sources, "files", len(sources)), kind="vlm", architecture=config.model_type)
    Run(out, finished=False).finish()
    return report


def _make_card(given: VlmImport, source: Path, family: str | None, config: PretrainedConfig) -> ModelCard:
    """Return the card, once films, prompt and tokenizer are found to fit the model."""
    architecture: Architecture = ARCHITECTURES[config.model_type]
    tokenizer = _read_tokenizer(source)
    if family:
        prompt = PromptConfig(family=family)
        _check_words(prompt, tokenizer)
    else:
        prompt = chat_prompt(source, tokenizer, architecture.film_text, architecture.chat_marker)
    image = given.image_path(source, architecture, config)
    _check_tokens(source, architecture, config, tokenizer, int(image.settings["size_px"]))
    return ModelCard(
        radlet_version=__version__,
        kind="report_model",
        architecture=config.model_type,
        image=image.settings,
        image_digest=image.digest,
        prompt=prompt,
        films=given.films,
        feature_layer=_layer(config),
        licence=LICENCE,
    )


def _check_words(prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Hold the words of a family against the tokenizer."""
    try:
        prompt.end_token_id(tokenizer)
        encode_prompt(tokenizer, prompt.render(0), 0, prompt)
    except ConfigError as error:
        raise ConfigError(f"--family {prompt.family}: {error}") from None


def _check_numbers(folder: Path, model: PreTrainedModel) -> None:
    """Refuse weights that are not all finite."""
    weights = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    refuse(folder, [f"{name} holds numbers that are not finite" for name in weights], "Fetch the files again.")


def _layer(config: PretrainedConfig) -> int:
    layer = getattr(config, "vision_feature_layer", -1)
    return layer if isinstance(layer, int) else -1


def is_original_llava(folder: Path) -> bool:
    """Say whether a folder is LLaVA as its authors published it rather than as transformers has it."""
    return "mm_projector_type" in _json(folder / "config.json") or "mm_vision_tower" in _json(folder / "config.json")


def name_weights(folder: Path, architecture: Architecture, config: PretrainedConfig) -> list[tuple[str, str, str]]:
    """Return (part, name in the files, name in the model) of every weight; the two must cover each other.

    Raises:
        CheckpointError: A name is unknown to the model, or one of the model's is missing.
    """
    with torch.device("meta"):
        model = architecture.model_class(config)
    wanted = model.state_dict()
    changes = get_model_conversion_mapping(model)
    converters = [change for change in changes if isinstance(change, WeightConverter)]
    renamings = [change for change in changes if not isinstance(change, WeightConverter)]
    rows, problems = [], []
    found = TensorFiles(weight_files(folder))
    problems += [f"{name} is quantised ({kind})" for name, kind in found.integers.items()]
    for name, shape in found.shapes.items():
        target, converted = rename_source_key(name, renamings, converters, model.base_model_prefix, wanted)
        if target not in wanted:
            problems.append(f"{name} is unknown")
        elif not converted and tuple(wanted[target].shape) != shape:
            problems.append(f"{name} is {shape} instead of {tuple(wanted[target].shape)}")
        rows.append((part_of(target).replace("_", " "), name, target))
    problems += [f"{name} is missing" for name in _untied(model) - {target for _, _, target in rows}]
    refuse(folder, sorted(problems), "Give the whole folder of one model, as published.")
    return rows


def _untied(model: PreTrainedModel) -> set[str]:
    """Return the names that must stand in the files: of weights that are shared, one is enough."""
    return set(model.state_dict()) - set(model.all_tied_weights_keys)


@contextlib.contextmanager
def _replaced(out: Path, published: Path) -> Iterator[Path]:
    """Make a folder beside `out` that takes its place if all goes well; what else was made beside it is removed.

    Errors name the published folder, which is still there for those who read them.
    """
    folder = out.with_name(f".{out.name}-{os.getpid()}")
    beside = folder.with_name(f"{folder.name}-as-transformers")
    folder.mkdir()
    try:
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except CheckpointError as error:
        raise CheckpointError(
            str(error).replace(str(beside), str(published)).replace(str(folder), str(published))
        ) from None
    finally:
        for rest in (folder, beside):
            shutil.rmtree(rest, ignore_errors=True)


def _read_config(folder: Path) -> PretrainedConfig:
    content = _json(folder / "config.json")
    kind = str(content.get("model_type"))
    if kind not in ARCHITECTURES:
        raise UnknownNameError(
            f"{folder}: config.json says model_type '{kind}'. What can be imported: {', '.join(sorted(ARCHITECTURES))}."
        )
    if content.get("quantization_config"):
        raise CheckpointError(f"{folder}: the weights are quantised. Give those that they were made from.")
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{folder}: config.json cannot be read ({type(error).__name__}). Fetch it again."
        ) from None


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{folder}: no tokenizer could be loaded ({type(error).__name__}). Place its files there."
        ) from None
    if tokenizer.eos_token_id is None:
        raise CheckpointError(f"{folder}: the tokenizer has no end token. Name it in tokenizer_config.json.")
    return tokenizer


def _check_tokens(
    folder: Path, architecture: Architecture, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, size_px: int
) -> None:
    """Hold the tokenizer and the size of films against the configuration."""
    token = architecture.film_text.token
    number = tokenizer.convert_tokens_to_ids(token)
    if token not in tokenizer.get_vocab() or number != config.image_token_id:
        raise CheckpointError(
            f"{folder}: the image token is {config.image_token_id} in config.json, and '{token}' is "
            f"{number} in the tokenizer. Give files that belong together."
        )
    problem = architecture.problem_with(config, size_px)
    if problem:
        raise CheckpointError(f"{folder}: {problem}")


def _write_weights(source: Path, folder: Path, progress: Progress) -> None:
    """Link the weights, or convert them if they are pickled."""
    paths = weight_files(source)
    if paths[0].suffix == ".safetensors":
        for path in [*paths, *source.glob("model.safetensors.index.json")]:
            _link(path, folder / path.name)
        return
    temporary = folder / "unpickled"
    writer = ShardWriter(folder)
    for number, path in enumerate(progress.track(paths, "converting", len(paths))):
        for name, tensor in TensorFiles(unpickle(path, temporary / str(number)).parts).items():
            writer.add(name, tensor.clone())
        shutil.rmtree(temporary / str(number))
    writer.close()
    temporary.rmdir()


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path.resolve(), target)
    except OSError:  # on another disk, or one that has no links
        shutil.copyfile(path, target)


def _copy_beside(source: Path, folder: Path) -> None:
    for pattern in _BESIDE:
        for path in source.glob(pattern):
            if not path.name.endswith(".index.json"):
                shutil.copyfile(path, folder / path.name)
    tokenizer = _read_tokenizer(folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
        tokenizer.save_pretrained(folder)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(f"{path.parent}: holds no {path.name}. Give the local folder of a model.") from None
    except ValueError:
        raise CheckpointError(f"{path}: is no JSON file, or is cut short. Fetch it again.") from None
    return content if isinstance(content, dict) else {}
