"""The models of a plan, without storage, and what the stages do with them."""

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlavaConfig, LlavaForConditionalGeneration, PreTrainedModel

from radlet.core.errors import ConfigError
from radlet.models.encoders import token_layout, tower_tokens
from radlet.models.language import LanguageModelConfig
from radlet.stages.machines import Machine
from radlet.stages.plan_inputs import SHAPES, Recipes
from radlet.training.packing import FAMILIES, packed_inputs


def report_model(recipes: Recipes, machine: Machine) -> LlavaForConditionalGeneration:
    """Return the model of `align` and `finetune`.

    Raises:
        ConfigError: The language model's shape is not known.
    """
    encoder = recipes.pretrain.encoder.build(recipes.pretrain.image.size_px)
    layer = recipes.pretrain.encoder.feature_layer
    num_extra, grid = token_layout(encoder, recipes.pretrain.image.size_px, layer)
    keeps = recipes.align.keep_class_token
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=encoder.config,
            text_config=language_model(recipes.language_model).config,
            image_seq_length=grid * grid + num_extra * keeps,
            vision_feature_layer=layer,
            vision_feature_select_strategy="default" if num_extra and not keeps else "full",
        )
    )
    model.tie_weights()
    lay_out(model, machine)
    return model


def language_model(config: LanguageModelConfig) -> PreTrainedModel:
    """Return a language model of the shape that the recipe names.

    Raises:
        ConfigError: There is no ``config.json``.
    """
    if config.path is None:
        shape = AutoConfig.for_model(config.model_type, **config.options, vocab_size=config.vocab_size)
    elif (config.path / "config.json").is_file():
        shape = AutoConfig.from_pretrained(config.path, local_files_only=True)
    else:
        raise ConfigError(
            f"{config.path}: has no config.json. A plan needs that file of the language model and no weights; or name "
            f"its shape: --language-model {' | '.join(SHAPES)}."
        )
    model = AutoModelForCausalLM.from_config(shape)
    model.tie_weights()
    return model


def lay_out(model: nn.Module, machine: Machine) -> None:
    """Choose the attention kernel as training does: on a card the fused one, which is transformers' own choice."""
    if not machine.overlaps:
        for module in model.modules():
            if isinstance(module, PreTrainedModel):
                module.set_attn_implementation("eager")


def features_shape(model: LlavaForConditionalGeneration, num_films: int) -> tuple[int, int, int]:
    """Return the shape of what the projector reads of some films, (films, N, D)."""
    return num_films, num_image_tokens(model), int(model.model.multi_modal_projector.linear_1.in_features)


def encode_films(model: LlavaForConditionalGeneration, recipes: Recipes, num_films: int) -> torch.Tensor:
    """Return what the projector reads of some films, (films, N, D)."""
    side, tower = recipes.pretrain.image.size_px, model.model.vision_tower
    films = torch.empty(num_films, 3, side, side, dtype=next(tower.parameters()).dtype)
    if not num_films:
        return torch.empty(features_shape(model, 0), dtype=films.dtype)
    return tower_tokens(tower, films, recipes.pretrain.encoder.feature_layer)[:, -num_image_tokens(model) :]


def read_prompt(model: LlavaForConditionalGeneration, films: torch.Tensor, num_words: int) -> torch.Tensor:
    """Return hidden states (B, T, D) of films and words, given what the encoder sees (B, N, D)."""
    projected = model.model.multi_modal_projector(films)
    ids = torch.ones(len(films), num_words, dtype=torch.long)
    embeds = torch.cat([projected, model.get_input_embeddings()(ids).to(projected.dtype)], dim=1)
    mask = torch.ones(len(films), embeds.shape[1], dtype=torch.long)
    hidden: torch.Tensor = model.model.language_model(
        inputs_embeds=embeds, attention_mask=mask, use_cache=False
    ).last_hidden_state
    return hidden


def read_rows(model: LlavaForConditionalGeneration, films: torch.Tensor, num_rows: int, num_words: int) -> torch.Tensor:
    """Return hidden states (rows, T, D) of equally long rows as training lays them out, given films (rows, N, D).

    Families that training packs are read end to end; the others in rows.
    """
    projected = model.model.multi_modal_projector(films)
    num_films = projected.shape[1] if len(projected) else 0
    length = num_films + num_words
    packed = model.config.text_config.model_type in FAMILIES
    shape = (1, num_rows * length) if packed else (num_rows, length)
    embeds = model.get_input_embeddings()(torch.ones(shape, dtype=torch.long))
    if num_films:
        at_films = torch.zeros(embeds.shape, dtype=torch.bool)
        embeds = embeds.masked_scatter(at_films, projected.to(embeds.dtype))
    told = {"attention_mask": torch.ones(shape, dtype=torch.long)}
    if packed:
        told = packed_inputs(model, [length] * num_rows, embeds.device)
    hidden: torch.Tensor = model.model.language_model(inputs_embeds=embeds, **told, use_cache=False).last_hidden_state
    return hidden.view(num_rows, length, -1)


def num_image_tokens(model: LlavaForConditionalGeneration) -> int:
    """Return the tokens that one film takes."""
    return int(model.config.image_seq_length)


def cache_bytes(model: LlavaForConditionalGeneration, length: int) -> float:
    """Return the size of the keys and values of one text of `length` tokens."""
    shape = model.config.text_config
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    head_dim = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    item = next(model.parameters()).element_size()
    return float(2 * shape.num_hidden_layers * heads * head_dim * length * item)
