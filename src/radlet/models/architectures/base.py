"""What differs between vision-language models, behind one interface.

Everything else in radlet, from the training loop to attention maps, asks the architecture where the parts sit, what a
film looks like in a prompt, and what the model wants beside token ids.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import transformers
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from radlet.models.tokenizers import IMAGE_TOKEN

RESAMPLES = {"bilinear": 2, "bicubic": 3}
"""The numbers that image processors have for them."""


class FilmText(NamedTuple):
    """One film in the text of a prompt.

    Attributes:
        before: What stands before its image tokens.
        token: Its image token, repeated as often as the film has tokens.
        after: What stands behind them.
    """

    before: str = ""
    token: str = IMAGE_TOKEN
    after: str = ""

    def written(self, num_image_tokens: int) -> str:
        """Return the text of one film."""
        return self.before + self.token * num_image_tokens + self.after


class Architecture(ABC):
    """A vision-language model of transformers: an encoder, a projector and a causal language model under one head.

    The model keeps its language model at ``model.language_model``; `encoder_path` and `projector_path` say where the
    other two sit. An architecture has no state: every method is given the model or its configuration.
    """

    class_name: str
    """The class of transformers, by name: naming an architecture imports no modelling code."""
    encoder_path: str = "model.vision_tower"
    """The encoder's module."""
    projector_path: str = "model.multi_modal_projector"
    """The projector's module; it may lie within the encoder's."""
    projector_names: tuple[str, ...] = ("multi_modal_projector.",)
    """What the names of the projector's parameters contain, and those of no other part."""
    encoder_names: tuple[str, ...] = ("vision_tower.",)
    """What the names of the encoder's parameters contain, and those of no part but the projector."""
    film_text: FilmText = FilmText()
    """One film in a prompt."""
    chat_marker: str = IMAGE_TOKEN
    """What stands for a film in a chat that the publisher's template has rendered."""
    plain: bool = True
    """Whether token ids and films are all the model wants, positions count up from 0, and attention is causal: then
    rows may be packed into one sequence, and an engine that knows only language models can serve it."""

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """The class of transformers."""
        found: type[PreTrainedModel] = getattr(transformers, self.class_name)
        return found

    def encoder(self, model: PreTrainedModel) -> nn.Module:
        """Return the encoder."""
        module: nn.Module = model.get_submodule(self.encoder_path)
        return module

    def projector(self, model: PreTrainedModel) -> nn.Module:
        """Return the projector."""
        module: nn.Module = model.get_submodule(self.projector_path)
        return module

    def stride_px(self, config: PretrainedConfig) -> int | None:  # noqa: ARG002
        """Return the pixels to a token, along a side, of a model that takes films of any size; None: of one only."""
        return None

    def problem_with(self, config: PretrainedConfig, size_px: int) -> str | None:  # noqa: ARG002
        """Return why films of `size_px` cannot be shown under this configuration, or None."""
        return None

    @abstractmethod
    def num_image_tokens(self, config: PretrainedConfig, size_px: int) -> int:
        """Return how many tokens one film of `size_px` takes in a prompt."""

    @abstractmethod
    def feature_shape(self, config: PretrainedConfig, size_px: int) -> tuple[int, int]:
        """Return (N, D): the tokens of one film that the projector reads, and their width."""

    def image_processor(self, config: PretrainedConfig, image: dict[str, Any]) -> Any:  # noqa: ARG002
        """Return an image processor of transformers that gives square films the same pixel values; None: there is none.

        Args:
            config: Of the model.
            image: The image path: `size_px`, `resize`, `resample`, `mean`, `std`.
        """
        return None

    @abstractmethod
    def film_inputs(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> dict[str, Any]:
        """Return what the model takes for films (films, 3, S, S)."""

    @abstractmethod
    def feature_inputs(self, model: PreTrainedModel, features: torch.Tensor, size_px: int) -> dict[str, Any]:
        """Return what the model takes for films that the encoder has seen; the projector is run here.

        Args:
            model: The model.
            features: What the projector reads of each film, (films, N, D), as `encode_films` gave it.
            size_px: Side of the films.
        """

    def text_inputs(self, model: PreTrainedModel, input_ids: torch.Tensor) -> dict[str, Any]:  # noqa: ARG002
        """Return what the model takes beside token ids (B, T) to know the films among them."""
        return {}

    def positions(
        self,
        model: PreTrainedModel,  # noqa: ARG002 - for architectures that count otherwise
        input_ids: torch.Tensor,  # noqa: ARG002
        attention_mask: torch.Tensor,
        films: dict[str, Any],  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the positions of the tokens, and the position (B,) that follows each row's last.

        Args:
            model: The model.
            input_ids: (B, T), padded on either side.
            attention_mask: (B, T); 0 over padding.
            films: What `film_inputs` gave, or nothing.
        """
        return (attention_mask.cumsum(-1) - 1).clamp(min=0), attention_mask.sum(-1)

    def features_of(self, model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return what the projector reads of films (films, 3, S, S): the encoder's tokens (films, N, D)."""
        seen: list[torch.Tensor] = []
        hook = self.projector(model).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        try:
            model.get_image_features(**self.film_inputs(model, pixel_values))
        finally:
            hook.remove()
        return torch.cat(seen).reshape(len(pixel_values), -1, seen[0].shape[-1])
