"""What a plan says of a stage and of serving."""

import math
from dataclasses import dataclass

from radlet.stages.machines import Machine


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes.

    Attributes:
        stage: Its name.
        parameters: (trainable, all).
        num_steps: Optimiser steps.
        step_s: Seconds of one of them.
        once_s: Seconds of what is done once, as running a frozen encoder over every film.
        memory: Bytes by part, on one device; their sum is the peak.
        flops: Of the whole stage.
        disk_bytes: Of what a frozen encoder sees, kept in the feature cache; 0 where it sees the films at every step.
        machine: Where.
    """

    stage: str
    parameters: tuple[int, int]
    num_steps: int
    step_s: float
    once_s: float
    memory: dict[str, float]
    flops: float
    disk_bytes: float
    machine: Machine

    @property
    def total_s(self) -> float:
        """Seconds of the whole stage; validations apart."""
        return self.num_steps * self.step_s + self.once_s

    @property
    def peak_bytes(self) -> float:
        """Memory of one device."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether that is less than the device has."""
        return self.peak_bytes < self.machine.memory_bytes

    @property
    def kwh(self) -> float:
        """Energy of all devices."""
        return self.machine.watts * self.machine.num_devices * self.total_s / 3.6e6

    @property
    def usd(self) -> float | None:
        """Price of all devices."""
        price = self.machine.usd_per_hour
        return None if price is None else price * self.machine.num_devices * self.total_s / 3600


@dataclass(frozen=True)
class ServingPlan:
    """What drafting takes, one film at a time.

    Attributes:
        memory: Bytes by part.
        first_token_s: From the film to the first token.
        token_s: Each token after it.
        new_tokens: Tokens of a draft.
        machine: Where; one device of it.
    """

    memory: dict[str, float]
    first_token_s: float
    token_s: float
    new_tokens: int
    machine: Machine

    @property
    def draft_s(self) -> float:
        """Seconds of one draft."""
        return self.first_token_s + self.token_s * (self.new_tokens - 1)


def reading(seconds: float) -> str:
    """Return a time in the unit that people would use."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.1f} {unit}"
    return f"{1000 * seconds:.0f} ms" if math.isfinite(seconds) else "-"
