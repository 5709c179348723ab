"""Metrics that run a model: entries of the registry of metrics, whose weights a person places in one folder.

One file a family of weights. `base` says what an entry is, `loading` finds weights and keeps what was computed,
`outside` runs packages that need a Python of their own. Nothing is downloaded.
"""
