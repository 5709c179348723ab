"""Labellers with learned weights, for the registry of `radlet.data.labellers`."""
