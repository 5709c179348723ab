"""Quantised linear layers: frozen, small, tuned around. One file and one line a form."""

from radlet.core.registry import Registry

QUANTISATIONS = Registry(
    "quantisations",
    {
        "int8": "radlet.models.quantisations.int8:Int8Linear",
        "nf4": "radlet.models.quantisations.nf4:Nf4Linear",
    },
)
