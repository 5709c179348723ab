"""DoRA: LoRA for the direction of each weight row, and a trained length for the row (Liu et al. 2024)."""

from typing import Any, Literal

from transformers import LlavaForConditionalGeneration

from radlet.models.tunings.low_rank import LowRankTuning


class DoraTuning(LowRankTuning):
    """Train, for each row of a target layer, a length ``m`` and a low-rank turn: ``m (W + s B A) / ||W + s B A|| x``.

    The scale ``s`` is alpha / rank.
    """

    kind: Literal["dora"] = "dora"

    def num_trainable(self, model: LlavaForConditionalGeneration) -> int:
        """Return rank x (inputs + outputs) + outputs, summed over the target layers."""
        return super().num_trainable(model) + sum(target.shape[1] for target in self._targets(model))

    def _variant(self) -> dict[str, Any]:
        return {"use_dora": True}
