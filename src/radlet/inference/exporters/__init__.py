"""Exporters: what rewrites a report model for an engine. One file and one line an exporter, named as its engine."""

from radlet.core.registry import Registry

EXPORTERS = Registry(
    "exporters",
    {
        "llama-cpp": "radlet.inference.exporters.llama_cpp:LlamaCppExport",
        "openvino": "radlet.inference.exporters.openvino:OpenVinoExport",
        "vllm": "radlet.inference.exporters.vllm:VllmExport",
    },
)
