"""Language models behind an OpenAI-compatible endpoint: what is asked of them, and what of their answers is let in."""
