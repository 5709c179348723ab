"""Averaged weights: an exponential moving average of what trains, which is validated and delivered in its place.

The average of a parameter stands in the optimiser's state under ``average``, beside its moments: whatever saves and
shards those saves and shards it, so a killed run resumes exactly.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_KEY = "average"


class WeightAverage:
    """Keep the moving average of an optimiser's parameters (Polyak and Juditsky 1992).

    Args:
        optimizer: Its parameters are averaged, from their values after the first step on.
        decay: Weight of the past at each step, 0..1; None keeps no average and every method does nothing. In the first
            steps the weight is ``(1 + n) / (10 + n)`` where that is less, so that the start is soon forgotten.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, decay: float | None) -> None:
        self._optimizer, self._decay = optimizer, decay

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of the step that was just made."""
        if self._decay is None:
            return
        for parameter, state in self._moved():
            if _KEY not in state:
                state[_KEY] = parameter.detach().clone()
                continue
            num_steps = float(state["step"]) - 1
            decay = min(self._decay, (1 + num_steps) / (10 + num_steps))
            state[_KEY].lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averages into the model, and the weights that train back at the end."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def deliver(self) -> None:
        """Put the averages into the model for good."""
        for parameter, state in self._moved():
            if _KEY in state:
                parameter.copy_(state[_KEY])

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, state in self._moved():
            if _KEY in state:
                trained = parameter.detach().clone()
                parameter.copy_(state[_KEY])
                state[_KEY].copy_(trained)

    def _moved(self) -> Iterator[tuple[torch.nn.Parameter, dict[str, torch.Tensor]]]:
        """Yield every parameter that a step has moved, with its state; one that never got a gradient has none."""
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                if parameter in self._optimizer.state:
                    yield parameter, self._optimizer.state[parameter]
