"""The report model: encoder, projector and language model as one checkpoint of transformers.

What radlet assembles is a `LlavaForConditionalGeneration`; an imported one may be of any registered architecture.
"""

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from radlet.core.config import Config
from radlet.core.errors import CheckpointError
from radlet.core.runs import write_atomically
from radlet.models.architectures import ARCHITECTURES
from radlet.models.architectures.base import Architecture
from radlet.models.encoders import token_layout
from radlet.models.frozen_loading import FrozenForm
from radlet.models.loading import LOADING_ERRORS, first_line, read_weights
from radlet.models.prompts import PromptConfig, encode_prompt, encode_target
from radlet.models.tokenizers import add_image_token

CARD = "radlet.json"


class ModelCard(Config):
    """The one file that radlet adds to a checkpoint: what its weights alone do not tell."""

    radlet_version: str
    """Version that wrote the checkpoint."""
    kind: str
    """"report_model" or "image_text"."""
    architecture: str = "llava"
    """Of a report model: its name in the registry of architectures, which is its `model_type` in transformers."""
    image: dict[str, Any]
    """Settings of the image path."""
    image_digest: str
    """Hash of those settings and of the image path's code version; checked at load."""
    prompt: PromptConfig = PromptConfig()
    """The words around films and indication."""
    target_section: str = "findings"
    """Section of the report the model writes."""
    films: str = "frontal"
    """Which films of a study the model is shown."""
    label_names: tuple[str, ...] = ()
    """What the label head predicts, for an image-text model."""
    feature_layer: int = -1
    """Hidden state of the encoder that is projected."""
    guidance: float = 1.0
    """How much the films count when drafting, unless asked otherwise; 1 is the model's own word."""
    max_new_tokens: int = 160
    """Longest draft, in tokens, unless asked otherwise."""
    tuning: str | None = None
    """How the language model was adapted."""
    lineage: dict[str, str] = {}
    """Upstream runs and their digests."""
    licence: str = "Trained on local data; the licences of that data and of the base weights apply to these weights."
    """Licence note."""
    notice: str = "Not a medical device. Every text this model writes is an unverified AI draft."
    """Shown wherever an answer is shown."""


@dataclass(frozen=True)
class ReportModel:
    """A report model in memory.

    Attributes:
        model: The vision-language model.
        tokenizer: Its tokenizer, which knows the image token.
        card: What the weights alone do not tell.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    card: ModelCard

    @property
    def num_image_tokens(self) -> int:
        """Tokens that one film takes in a prompt."""
        return self.architecture.num_image_tokens(self.model.config, self.size_px)

    @property
    def max_positions(self) -> int | None:
        """Tokens that prompt and answer may have together; None where the configuration does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    @property
    def architecture(self) -> Architecture:
        """What is particular to this kind of model."""
        return architecture_of(self.model)

    @property
    def size_px(self) -> int:
        """Side of the films."""
        return int(self.card.image["size_px"])

    def encode_prompt(self, prompt: str, words: PromptConfig | None = None) -> list[int]:
        """Return token ids of what `words`, or the card's own, rendered, its films written out."""
        film = self.architecture.film_text
        return encode_prompt(self.tokenizer, prompt, self.num_image_tokens, words or self.card.prompt, film)

    def encode_target(self, target: str, words: PromptConfig | None = None) -> list[int]:
        """Return token ids of an answer behind what `words`, or the card's own, rendered, and of its end."""
        return encode_target(self.tokenizer, target, words or self.card.prompt, self.architecture.film_text)

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """Tokens at which an answer is over: the prompt's end of an answer first, the tokenizer's, the model's."""
        models = self.model.generation_config.eos_token_id
        ids = [self.card.prompt.end_token_id(self.tokenizer), self.tokenizer.eos_token_id]
        ids += models if isinstance(models, list) else [models]
        return tuple(dict.fromkeys(int(token) for token in ids if token is not None))


def architecture_of(model: PreTrainedModel) -> Architecture:
    """Return what is particular to this kind of model.

    Raises:
        UnknownNameError: It is of no registered architecture.
    """
    architecture: Architecture = ARCHITECTURES[model.config.model_type]
    return architecture


def assemble(
    encoder: PreTrainedModel,
    language_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    card: ModelCard,
    keep_class_token: bool = False,
) -> ReportModel:
    """Join an encoder and a language model with a fresh two-layer projector; every weight is loaded strictly.

    Args:
        encoder: Vision tower.
        language_model: Causal language model.
        tokenizer: Of the language model; learns the image token if it does not know it.
        card: Of the new checkpoint.
        keep_class_token: Show the language model the class token too, before the patches.
    """
    image_token_id = add_image_token(tokenizer)
    if len(tokenizer) > language_model.get_input_embeddings().num_embeddings:
        language_model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    num_extra, grid = token_layout(encoder, card.image["size_px"], card.feature_layer)
    text_config = copy.deepcopy(language_model.config)
    if not hasattr(language_model.get_decoder(), "embed_tokens"):
        # LLaVA ties its head to embeddings of that name. GPT-2's are called otherwise: its head becomes a copy.
        text_config.tie_word_embeddings = False
    config = LlavaConfig(
        vision_config=copy.deepcopy(encoder.config),
        text_config=text_config,
        tie_word_embeddings=text_config.tie_word_embeddings,
        image_token_index=image_token_id,
        image_seq_length=grid * grid + num_extra * keep_class_token,
        vision_feature_layer=card.feature_layer,
        vision_feature_select_strategy="default" if num_extra and not keep_class_token else "full",
        projector_hidden_act="gelu",
    )
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(encoder.state_dict())
    model.model.language_model.load_state_dict(language_model.get_decoder().state_dict())
    model.lm_head.load_state_dict(language_model.get_output_embeddings().state_dict())
    model.tie_weights()
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        setattr(model.generation_config, name, getattr(tokenizer, name))
    return ReportModel(model.eval(), tokenizer, card)


@torch.no_grad()
def encode_films(model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return what the projector reads of films (B, 3, S, S): the encoder's chosen tokens (B, N, D)."""
    return architecture_of(model).features_of(model, pixel_values)


def save_report_model(report_model: ReportModel, folder: Path, processor_options: dict[str, Any] | None) -> None:
    """Write a checkpoint that plain transformers loads: weights, configuration, tokenizer, processor and card.

    Args:
        report_model: What to write.
        folder: Where to.
        processor_options: Arguments of transformers' CLIP image processor that repeat the image path; None when that
            processor cannot (then only radlet prepares films exactly).
    """
    ends = report_model.end_token_ids
    # So that other programs stop where the answer ends, too.
    report_model.model.generation_config.eos_token_id = ends[0] if len(ends) == 1 else list(ends)
    report_model.model.save_pretrained(folder)
    config = report_model.model.config
    if processor_options is None or not isinstance(config, LlavaConfig):
        report_model.tokenizer.save_pretrained(folder)
        processor = report_model.architecture.image_processor(config, report_model.card.image)
        if processor is not None:
            processor.save_pretrained(folder)
    else:
        save_processor(report_model.tokenizer, config, report_model.card, processor_options, folder)
    write_atomically(folder / CARD, report_model.card.model_dump_json(indent=2) + "\n")


def save_processor(
    tokenizer: PreTrainedTokenizerBase,
    config: LlavaConfig,
    card: ModelCard,
    processor_options: dict[str, Any],
    folder: Path,
) -> None:
    """Write the tokenizer and the image processor of a checkpoint as plain transformers reads them."""
    grid = math.isqrt(config.image_seq_length)
    dropped = config.vision_feature_select_strategy == "default"
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(**processor_options),
        tokenizer=tokenizer,
        patch_size=card.image["size_px"] // grid,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        num_additional_image_tokens=1 if dropped else config.image_seq_length - grid * grid,
    ).save_pretrained(folder)


def checkpoint_folder(path: Path) -> Path:
    """Return the folder with the weights, given it or the run directory around it."""
    return path / "checkpoint" if (path / "checkpoint").is_dir() else path


def read_card(folder: Path, kind: str) -> ModelCard:
    """Read ``radlet.json`` of a checkpoint.

    Raises:
        CheckpointError: The folder has none, or is another kind of checkpoint.
    """
    path = folder / CARD
    if not path.is_file() and (folder / "adapter").is_dir():
        raise CheckpointError(
            f"{folder}: holds an adapter and no checkpoint (deliver = 'adapter'). Join it to the checkpoint it was "
            "trained from: radlet merge CHECKPOINT ADAPTER --out DIR."
        )
    if not path.is_file():
        raise CheckpointError(f"{folder}: is no radlet checkpoint (no {CARD} in it). Give the folder with the weights.")
    try:
        card = ModelCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if card.kind != kind:
        raise CheckpointError(f"{folder}: holds a checkpoint of kind '{card.kind}'; '{kind}' is needed here.")
    return card


def load_report_model(folder: Path, frozen: FrozenForm | None = None) -> ReportModel:
    """Read a checkpoint that `save_report_model` wrote; no weight may be missing or left over.

    Args:
        folder: The checkpoint.
        frozen: Form that weights take while they are read; by default they are as stored.

    Raises:
        CheckpointError: The folder is no report model, or its weights do not fit its configuration.
    """
    card = read_card(folder, "report_model")
    model, misfits = read_weights(ARCHITECTURES[card.architecture].model_class, folder, "report model", frozen)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{folder}: no report model could be loaded: {first_line(error)}") from None
    wrong = [
        f"{kind.replace('_', ' ')}: {', '.join(map(str, sorted(names)[:3]))}"
        for kind, names in misfits.items()
        if names
    ]
    if wrong:
        raise CheckpointError(
            f"{folder}: the weights do not fit the configuration ({'; '.join(wrong)}). Copy the whole folder anew."
        )
    return ReportModel(model.eval(), tokenizer, card)
