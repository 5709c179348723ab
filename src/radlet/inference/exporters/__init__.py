"""Exporters: what rewrites a report model for an engine. One file and one line an exporter, named as its engine."""

from radlet.core.registry import Registry

EXPORTERS = Registry(
    "exporters",
    {
        "openvino": "radlet.inference.exporters.openvino:OpenVinoExporter",
        "vllm": "radlet.inference.exporters.vllm:VllmExporter",
    },
)
