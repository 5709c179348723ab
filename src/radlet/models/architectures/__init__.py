"""Architectures: the vision-language models that a report model can be. One file, or one line of one, each."""

from radlet.core.registry import Registry

ARCHITECTURES = Registry(
    "architectures",
    {
        "llava": "radlet.models.architectures.llava:LLAVA",
        "qwen2_vl": "radlet.models.architectures.qwen_vl:QWEN2_VL",
        "qwen2_5_vl": "radlet.models.architectures.qwen_vl:QWEN2_5_VL",
        "qwen3_vl": "radlet.models.architectures.qwen_vl:QWEN3_VL",
        "gemma3": "radlet.models.architectures.gemma3:GEMMA3",
    },
)
"""Named by the `model_type` that transformers writes into ``config.json``."""
