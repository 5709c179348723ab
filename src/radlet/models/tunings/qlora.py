"""QLoRA: low-rank updates beside a language model whose own weights are quantised (Dettmers et al. 2023)."""

from typing import Literal

from peft.tuners.lora import LoraLayer
from pydantic import field_validator
from transformers import PreTrainedModel

from radlet.core.registry import nearest
from radlet.models.quantisations import QUANTISATIONS
from radlet.models.quantised import plain_layer, quantise_blocks, quantised_layers
from radlet.models.tunings.low_rank import LowRankTuning


class QLoraTuning(LowRankTuning):
    """Train LoRA updates over a frozen language model that takes a quarter or an eighth of its memory.

    Merged, the model is the quantised one in plain weights plus the updates: it equals the model that was trained, and
    differs from the updates over the weights as they were before.
    """

    kind: Literal["qlora"] = "qlora"
    quantisation: str = "int8"
    """Form of every linear layer in the blocks of the language model: "int8", which needs no package, or "nf4" by
    bitsandbytes."""

    @field_validator("quantisation")
    @classmethod
    def _known(cls, quantisation: str) -> str:
        if quantisation not in QUANTISATIONS:
            raise ValueError(f"is no quantisation.{nearest(quantisation, list(QUANTISATIONS))}")
        return quantisation

    @property
    def base_quantisation(self) -> str | None:
        """The form that was chosen."""
        return self.quantisation

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Quantise what was not quantised while it was read, and add the updates.

        Raises:
            ConfigError: bitsandbytes is asked for and not installed.
        """
        quantise_blocks(model, self.quantisation)
        return super().apply(model)

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Put plain layers back: what the quantised weights stand for, plus the updates."""
        for name, module in list(model.named_modules()):
            if isinstance(module, LoraLayer):
                model.set_submodule(name, plain_layer(module.get_base_layer(), module.get_delta_weight("default")))
        for name, layer in list(quantised_layers(model)):
            model.set_submodule(name, plain_layer(layer))
        vars(model).pop("peft_config", None)
        return model
