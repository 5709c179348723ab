"""Tuning methods: how the language model of a report model is adapted. One file and one line a method."""

from radlet.core.registry import Registry

TUNINGS = Registry(
    "tunings",
    {
        "full": "radlet.models.tunings.full:FullTuning",
        "lora": "radlet.models.tunings.lora:LoraTuning",
        "rslora": "radlet.models.tunings.rslora:RsLoraTuning",
        "dora": "radlet.models.tunings.dora:DoraTuning",
        "qlora": "radlet.models.tunings.qlora:QLoraTuning",
    },
)
