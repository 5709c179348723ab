"""OpenVINO: language models as graphs that keep their own memory, and their weights in fewer bits."""
