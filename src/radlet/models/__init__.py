"""How a model is assembled, loaded, saved and tuned."""
