"""Embed, index and look up similar films and reports."""
