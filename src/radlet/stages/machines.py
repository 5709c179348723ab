"""Machines that `plan` knows: cards by the numbers of their data sheets, and this one by measuring it."""

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from radlet.core.config import Config, read_toml
from radlet.core.errors import ConfigError
from radlet.core.registry import nearest
from radlet.models.costs import Cost
from radlet.stages.machine_rates import (
    draw_rate,
    function_rate,
    matmul_rate,
    measure_process,
    read_bandwidth,
    stream_bandwidth,
)
from radlet.training.precision import Precision, autocast

THIS = "this"

_GPU_MATMUL_SHARE = 0.75
"""Share of the data sheet's rate that large matrix products alone reach."""
_GPU_BANDWIDTH_SHARE = 0.8
"""Share of the data sheet's bandwidth that elementwise kernels reach."""
_GPU_LAUNCH_S = 6e-6
"""Time to launch one kernel from Python; launches overlap with what runs."""
_WATTS_PER_CORE = 15.0
"""Assumed for the processor of this machine, which does not tell."""


class _Sheet(Config):
    """One table of ``machines.toml``."""

    title: str
    memory_gb: float
    half_tflops: float
    single_tflops: float
    bandwidth_gbs: float
    watts: float
    usd_per_hour: float


@dataclass(frozen=True)
class Machine:
    """What one or more equal devices can do; rates are those that kernels reach, not those of the data sheet.

    Attributes:
        name: As it was asked for.
        title: For people.
        num_devices: How many work together.
        memory_bytes: Of one device.
        half_flops: Matrix products of 16-bit numbers, operations a second and device.
        single_flops: The same of 32-bit numbers.
        bandwidth: Bytes a second and device that elementwise work on activations reads and writes.
        weights_bandwidth: Bytes a second and device read from main memory.
        call_s: Time that calling one operation takes, of a CPU with the Python around it.
        overlaps: Whether calls go on while the device works.
        watts: Of one device.
        usd_per_hour: Of one device; None where there is no price.
        base_bytes: Memory of the process before any model is loaded.
        function_rate: Numbers a second of which an exponential or the like is taken, or that a mask fills.
        draw_rate: Random numbers a second.
        kernel_s: Time of compiling the kernel of a 16-bit product of a new size.
        kernel_bytes: Memory of such a kernel.
    """

    name: str
    title: str
    num_devices: int
    memory_bytes: float
    half_flops: float
    single_flops: float
    bandwidth: float
    weights_bandwidth: float
    call_s: float
    overlaps: bool
    watts: float
    usd_per_hour: float | None
    base_bytes: float
    function_rate: float = math.inf
    draw_rate: float = math.inf
    kernel_s: float = 0.0
    kernel_bytes: float = 0.0

    def seconds(self, cost: Cost) -> float:
        """Return how long one device takes: each operation its arithmetic or its traffic, whichever is slower."""
        busy = 0.0
        for operation in cost.operations:
            rate = self.half_flops if operation.half else self.single_flops
            bandwidth = self.weights_bandwidth if operation.flops else self.bandwidth
            arithmetic_s = operation.functions / self.function_rate + operation.draws / self.draw_rate
            busy += max(operation.flops / rate + arithmetic_s, operation.moved_bytes / bandwidth)
        calls = len(cost.operations) * self.call_s
        return max(busy, calls) if self.overlaps else busy + calls


def known_machines() -> dict[str, str]:
    """Return the names that `machine` takes, with their titles."""
    return {name: sheet.title for name, sheet in _sheets().items()} | {THIS: "this machine, measured"}


def machine(name: str, precision: Precision) -> Machine:
    """Return a machine by name: ``a100-80gb``, ``8xa100-80gb``, or ``this``, which is measured for some seconds.

    Raises:
        ConfigError: There is no such machine.
    """
    if name == THIS:
        return measure_this(precision)
    count, kind = re.fullmatch(r"(?:(\d+)x)?(.*)", name).groups()  # type: ignore[union-attr]
    sheets = _sheets()
    if kind not in sheets or count == "0":
        raise ConfigError(f"--machine {name}: is unknown.{nearest(kind, [*sheets, THIS])} Several: 8xa100-80gb.")
    sheet = sheets[kind]
    return Machine(
        name=name,
        title=sheet.title,
        num_devices=int(count or 1),
        memory_bytes=sheet.memory_gb * 1e9,
        half_flops=sheet.half_tflops * 1e12 * _GPU_MATMUL_SHARE,
        single_flops=sheet.single_tflops * 1e12 * _GPU_MATMUL_SHARE,
        bandwidth=sheet.bandwidth_gbs * 1e9 * _GPU_BANDWIDTH_SHARE,
        weights_bandwidth=sheet.bandwidth_gbs * 1e9 * _GPU_BANDWIDTH_SHARE,
        call_s=_GPU_LAUNCH_S,
        overlaps=True,
        watts=sheet.watts,
        usd_per_hour=sheet.usd_per_hour,
        base_bytes=0.8e9,  # the context of the driver and its libraries
    )


def measure_this(precision: Precision) -> Machine:
    """Measure this machine at the sizes of a small model's step.

    Raises:
        RadletError: The process whose memory is measured failed.
    """
    with autocast(torch.device("cpu"), precision) as context:
        half = torch.bfloat16 if context._enabled else torch.float32
    process = measure_process(precision)
    return Machine(
        name=THIS,
        title=f"this machine: {torch.get_num_threads()} threads",
        num_devices=1,
        memory_bytes=float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")),
        half_flops=matmul_rate(half),
        single_flops=matmul_rate(torch.float32),
        bandwidth=stream_bandwidth(),
        weights_bandwidth=read_bandwidth(),
        call_s=process.call_s,
        overlaps=False,
        watts=_WATTS_PER_CORE * (os.cpu_count() or 1),
        usd_per_hour=None,
        base_bytes=process.base_bytes,
        function_rate=function_rate(half),
        draw_rate=draw_rate(),
        kernel_s=process.kernel_s,
        kernel_bytes=process.kernel_bytes,
    )


def with_prices(machine: Machine, usd_per_hour: float | None, watts: float | None) -> Machine:
    """Return the machine with a price and a power of one's own."""
    machine = machine if usd_per_hour is None else replace(machine, usd_per_hour=usd_per_hour)
    return machine if watts is None else replace(machine, watts=watts)


def _sheets() -> dict[str, _Sheet]:
    tables = read_toml(Path(__file__).with_name("machines.toml"))
    return {name: _Sheet.model_validate(table) for name, table in tables.items()}
