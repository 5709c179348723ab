"""What the methods of the LoRA family share: low-rank updates beside linear layers, through peft."""

from typing import Any, ClassVar, Literal

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from pydantic import Field
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from radlet.models.freezing import part_of
from radlet.models.tunings.base import Tuning
from radlet.models.tunings.targets import Target, choose_targets, pattern_of


class LowRankTuning(Tuning):
    """Train a product of two thin matrices beside each target layer and leave the layer alone."""

    adapts: ClassVar[bool] = True

    rank: int = Field(default=64, ge=1)
    """Rank of each update."""
    alpha: int = Field(default=128, ge=1)
    """Scale of the updates."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before each update, 0..1."""
    target_modules: tuple[str, ...] | Literal["auto"] = "auto"
    """Names of the linear layers that get an update, like ["q_proj", "v_proj"]; "auto" takes every linear layer in the
    blocks of the language model, whatever its family calls them."""

    def peft_config(self, model: PreTrainedModel) -> LoraConfig:
        """Return peft's configuration of this method for a plain model.

        Raises:
            ConfigError: A name in `target_modules` is that of no layer.
        """
        targets = self._targets(model)
        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=pattern_of(targets),
            fan_in_fan_out=any(isinstance(target.layer, Conv1D) for target in targets),
            bias="none",
            **self._variant(),
        )

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """Add the updates, without effect at first, and freeze every other weight of the language model."""
        config = self.peft_config(model)
        trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        inject_adapter_in_model(config, model)
        for name, parameter in model.named_parameters():
            outside_language_model = name in trainable and part_of(name) != "language_model"
            parameter.requires_grad_("lora_" in name or outside_language_model)
        return model

    def merge(self, model: PreTrainedModel) -> PreTrainedModel:
        """Fold every update into its layer and put the plain layers back."""
        for name, module in list(model.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                model.set_submodule(name, module.get_base_layer())
        vars(model).pop("peft_config", None)
        return model

    def num_trainable(self, model: PreTrainedModel) -> int:
        """Return rank x (inputs + outputs), summed over the target layers."""
        return sum(self.rank * sum(target.shape) for target in self._targets(model))

    def _targets(self, model: PreTrainedModel) -> list[Target]:
        return choose_targets(model, self.target_modules)

    def _variant(self) -> dict[str, Any]:
        """Return what peft's configuration says beyond plain LoRA."""
        return {}
