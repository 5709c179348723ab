"""Where a model computes."""

import torch


def pick_device() -> torch.device:
    """Return the GPU of this process, which is the first where there is one process, or the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
