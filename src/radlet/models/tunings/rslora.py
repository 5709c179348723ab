"""rsLoRA: LoRA whose scale does not shrink the updates of high ranks (Kalajdzievski 2023)."""

from typing import Any, Literal

from radlet.models.tunings.low_rank import LowRankTuning


class RsLoraTuning(LowRankTuning):
    """Train ``B A`` of rank `rank` beside each target layer: ``W x + (alpha / sqrt(rank)) B A x``."""

    kind: Literal["rslora"] = "rslora"

    def _variant(self) -> dict[str, Any]:
        return {"use_rslora": True}
