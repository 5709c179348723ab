"""radlet: private, small multimodal models for chest X-ray reports - train, judge and serve on one machine."""

__version__ = "0.1.0"
