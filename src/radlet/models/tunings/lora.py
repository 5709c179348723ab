"""LoRA: low-rank updates beside the linear layers of the language model (Hu et al. 2022)."""

from typing import Literal

from radlet.models.tunings.low_rank import LowRankTuning


class LoraTuning(LowRankTuning):
    """Train ``B A`` of rank `rank` beside each target layer: ``W x + (alpha / rank) B A x``."""

    kind: Literal["lora"] = "lora"
