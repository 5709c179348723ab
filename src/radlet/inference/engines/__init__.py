"""Engines: what turns prompts and films into token ids. One file and one line an engine."""

from radlet.core.registry import Registry

ENGINES = Registry(
    "engines",
    {
        "llama-cpp": "radlet.inference.engines.llama_cpp:LlamaCppEngine",
        "openvino": "radlet.inference.engines.openvino:OpenVinoEngine",
        "transformers": "radlet.inference.engines.transformers:TransformersEngine",
        "vllm": "radlet.inference.engines.vllm:VllmEngine",
    },
)
