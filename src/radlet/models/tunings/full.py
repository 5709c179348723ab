"""Full tuning: every weight of the language model trains."""

from typing import Literal

from transformers import PreTrainedModel

from radlet.models.freezing import part_of
from radlet.models.tunings.base import Tuning


class FullTuning(Tuning):
    """Train every weight of the language model."""

    kind: Literal["full"] = "full"

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Let every weight of the language model train."""
        for name, parameter in model.named_parameters():
            if part_of(name) == "language_model":
                parameter.requires_grad_(True)
        return model

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Return the model as it is: there is nothing to fold in."""
        return model

    def num_trainable(self, model: PreTrainedModel) -> int:
        """Return the size of the language model."""
        return sum(p.numel() for name, p in model.named_parameters() if part_of(name) == "language_model")
