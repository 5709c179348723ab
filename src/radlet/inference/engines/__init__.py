"""Engines: what turns prompts and films into token ids. One file and one line an engine."""

from radlet.core.registry import Registry

ENGINES = Registry(
    "engines",
    {
        "transformers": "radlet.inference.engines.transformers:TransformersEngine",
        "openvino": "radlet.inference.engines.openvino:OpenVinoEngine",
        "vllm": "radlet.inference.engines.vllm:VllmEngine",
    },
)
