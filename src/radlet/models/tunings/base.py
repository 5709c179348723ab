"""What every tuning method offers."""

from abc import abstractmethod
from typing import ClassVar

from transformers import PreTrainedModel

from radlet.core.config import Config


class Tuning(Config):
    """Base of the tuning configurations; each is a table ``[tuning]`` with its ``kind`` in a finetune recipe."""

    adapts: ClassVar[bool] = False
    """Whether what is learnt stands beside the base weights and can be kept apart from them, as an adapter."""

    kind: str
    """Name of the method in the registry."""

    @property
    def base_quantisation(self) -> str | None:
        """Form that the method stands on of the linear layers in the language model's blocks; None: as stored."""
        return None

    @abstractmethod
    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Ready the language model for training, in place; its output is unchanged and its frozen weights frozen."""

    @abstractmethod
    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Return the plain model with what was learnt folded into its weights."""

    @abstractmethod
    def num_trainable(self, model: PreTrainedModel) -> int:
        """Return, from shapes alone, how many parameters of the language model will train."""
