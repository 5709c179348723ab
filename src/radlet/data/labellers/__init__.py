"""Labellers: each reads the 14 CheXpert observations off texts. One file and one line a labeller.

The rules are exact in what they do and need nothing; a labeller with learned weights stands in `radlet.models` and is
imported only when a recipe names it.
"""

from radlet.core.registry import Registry

LABELLERS = Registry(
    "labellers",
    {
        "rules": "radlet.data.labellers.rules:RuleLabeller",
        "chexbert": "radlet.models.labellers.chexbert:CheXbertLabeller",
    },
)
