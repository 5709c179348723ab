"""LoRA through peft: low-rank updates beside the linear layers of the language model (Hu et al. 2022)."""

import re
from typing import Literal

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from pydantic import Field
from torch import nn
from transformers import LlavaForConditionalGeneration

from radlet.core.errors import ConfigError
from radlet.models.freezing import part_of
from radlet.models.tunings.base import Tuning


class LoraTuning(Tuning):
    """Train ``B A`` of rank `rank` beside each target layer: ``W x + (alpha / rank) B A x``."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(default=64, ge=1)
    """Rank of each update."""
    alpha: int = Field(default=128, ge=1)
    """Scale of the updates; their weight is alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before each update, 0..1."""
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    """Names of the linear layers of the language model that get an update."""

    def _pattern(self) -> str:
        return rf".*language_model\..*\.({'|'.join(map(re.escape, self.target_modules))})"

    def _targets(self, model: LlavaForConditionalGeneration) -> list[nn.Linear]:
        targets = [m for name, m in model.named_modules() if re.fullmatch(self._pattern(), name)]
        if not targets:
            raise ConfigError(
                f"tuning.target_modules={list(self.target_modules)} match no layer of the language model."
            )
        return targets

    def apply(self, model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
        """Add the updates, zero at first, and freeze every other weight of the language model."""
        self._targets(model)
        trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=self._pattern(), bias="none"
        )
        inject_adapter_in_model(config, model)
        for name, parameter in model.named_parameters():
            outside_language_model = name in trainable and part_of(name) != "language_model"
            parameter.requires_grad_("lora_" in name or outside_language_model)
        return model

    def merge(self, model: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
        """Fold every update into its layer and put the plain layers back."""
        for name, module in list(model.named_modules()):
            if isinstance(module, LoraLayer):
                module.merge()
                parent, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(parent), leaf, module.get_base_layer())
        vars(model).pop("peft_config", None)
        return model

    def num_trainable(self, model: LlavaForConditionalGeneration) -> int:
        """Return rank x (inputs + outputs), summed over the target layers."""
        return sum(self.rank * (layer.in_features + layer.out_features) for layer in self._targets(model))
