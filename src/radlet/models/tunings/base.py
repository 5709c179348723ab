"""What every tuning method offers."""

from abc import abstractmethod
from typing import ClassVar

from transformers import LlavaForConditionalGeneration

from radlet.core.config import Config


class Tuning(Config):
    """Base of the tuning configurations; each is a table ``[tuning]`` with its ``kind`` in a finetune recipe."""

    adapts: ClassVar[bool] = False
    """Whether what is learnt stands beside the base weights and can be kept apart from them, as an adapter."""

    kind: str
    """Name of the method in the registry."""

    def prepare(self, model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
        """Put the language model's weights, in place, into the form that the method stands on; `apply` does so."""
        return model

    @abstractmethod
    def apply(self, model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
        """Ready the language model for training, in place; its output is unchanged and its frozen weights frozen."""

    @abstractmethod
    def merge(self, model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
        """Return the plain model with what was learnt folded into its weights."""

    @abstractmethod
    def num_trainable(self, model: LlavaForConditionalGeneration) -> int:
        """Return, from shapes alone, how many parameters of the language model will train."""
