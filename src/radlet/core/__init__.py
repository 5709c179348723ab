"""Foundations every other package stands on: records, configuration, registries, run directories and errors."""
