"""Importers of published checkpoints: each unpickles once, with ``weights_only``, and writes safetensors."""
