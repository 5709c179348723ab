"""What this machine's processor and memory reach, measured in a few seconds at the sizes of a small model's step."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from radlet.core.errors import RadletError
from radlet.models.costs import counting, without_storage
from radlet.training.heap import keep_freed_memory
from radlet.training.precision import Precision, autocast

_SHAPE = LlamaConfig(
    vocab_size=64,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=4,
    num_attention_heads=2,
    num_key_value_heads=2,
)
"""A decoder whose numbers take no time beside the calls."""


@dataclass(frozen=True)
class Process:
    """What a training process takes before it holds a model, and what calls and new kernels take in it.

    Attributes:
        base_bytes: Memory with Python, the libraries and the code of them that a training step runs.
        call_s: Time of one operation in a training step, its share of Python and autograd included.
        kernel_s: Processor time of compiling the kernel of a matrix product of a new size.
        kernel_bytes: Memory of such a kernel, which the library keeps.
    """

    base_bytes: float
    call_s: float
    kernel_s: float
    kernel_bytes: float


_TIMED_S = 0.04
"""Shortest interval that is timed."""


def measure_process(precision: Precision) -> Process:
    """Measure a fresh process, which has read nothing else.

    Raises:
        RadletError: It failed.
    """
    command = [sys.executable, "-m", __name__, precision]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:]
        raise RadletError(f"Measuring this machine failed: {''.join(last)}. Plan for a named machine: --machine.")
    return Process(**json.loads(ended.stdout.splitlines()[-1]))


def matmul_rate(dtype: torch.dtype, rows: int = 1024, width: int = 512) -> float:
    """Return operations a second of products of (rows, width) by (width, width): a small model's linear layer."""
    left, right = torch.randn(rows, width).to(dtype), torch.randn(width, width).to(dtype)
    return 2 * rows * width * width / _fastest(lambda: left @ right)


def read_bandwidth(num_bytes: int = 256 * 1024**2) -> float:
    """Return bytes a second at which numbers that no cache holds are read."""
    numbers = torch.ones(num_bytes // 4)
    return num_bytes / _fastest(numbers.sum)


def stream_bandwidth(num_bytes: int = 1024**2, num_blocks: int = 96) -> float:
    """Return bytes a second that elementwise operations read and write.

    The backward pass needs what the forward pass made, so that a step walks through blocks of `num_bytes` that together
    are larger than any cache.
    """
    left, right, made = (torch.ones(num_blocks, num_bytes // 4) for _ in range(3))

    def work() -> None:
        for block in range(num_blocks):
            torch.add(left[block], right[block], out=made[block])

    return 3 * num_blocks * num_bytes / _fastest(work)


def function_rate(dtype: torch.dtype, num_values: int = 2**18) -> float:
    """Return numbers a second of which the sigmoid is taken and multiplied, as in the activation of a gated layer."""
    values = torch.randn(num_values).to(dtype)
    return num_values / _fastest(lambda: torch.nn.functional.silu(values))


def draw_rate(num_values: int = 2**16) -> float:
    """Return random numbers a second."""
    values = torch.empty(num_values)
    return num_values / _fastest(lambda: values.bernoulli_(0.5))


def _fastest(work: Callable[[], object], at_least_s: float = 0.25) -> float:
    """Return the shortest time of a call, which other work on the machine disturbs least.

    One thread's processor time is its time without the others; of several threads it would be a sum. The clock may go
    in ticks of 4 ms, as it does under a limit on processor time: so many calls are timed that a tick is a small part.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    work()
    calls, times = 1, list[float]()
    while len(times) < 5 or sum(times) < at_least_s:
        start = clock()
        for _ in range(calls):
            work()
        took = clock() - start
        if took < _TIMED_S:
            calls *= 2
        else:
            times.append(took)
    return min(times) / calls


def resident_bytes() -> float:
    """Return the memory that this process holds now, libraries included; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # no Linux
        return 0.0
    return 1024.0 * int(status.partition("VmRSS:")[2].split()[0])


def _measure_here(precision: Precision) -> Process:
    import radlet.stages.finetune  # noqa: F401 - what it imports is what is measured

    keep_freed_memory()
    call_s = _call_s(precision)
    base_bytes = resident_bytes()
    kernel_s, kernel_bytes = _kernel(precision)
    return Process(base_bytes, call_s, kernel_s, kernel_bytes)


def _call_s(precision: Precision) -> float:
    """Return the time of a training step of a tiny decoder over its operations."""

    def step(model: LlamaForCausalLM) -> None:
        with autocast(torch.device("cpu"), precision):
            ids = torch.ones(1, 8, dtype=torch.long)
            model(input_ids=ids, use_cache=False).logits.float().sum().backward()

    with without_storage():
        planned = LlamaForCausalLM._from_config(_SHAPE, attn_implementation="eager")
        with counting() as cost:
            step(planned)
    model = LlamaForCausalLM._from_config(_SHAPE, attn_implementation="eager")
    return _fastest(lambda: step(model)) / len(cost.operations)


def _kernel(precision: Precision, num_kernels: int = 48, width: int = 32) -> tuple[float, float]:
    """Return what the kernel of a product of a new size takes: seconds once, and bytes."""
    rows, weights = torch.randn(1024 + num_kernels, width), torch.randn(width, width)

    def work() -> float:
        start = time.process_time()
        for extra in range(num_kernels):
            rows[: 1024 + extra] @ weights
        return time.process_time() - start

    with autocast(torch.device("cpu"), precision) as context:
        if not context._enabled:  # products of 32-bit numbers have one kernel for all sizes
            return 0.0, 0.0
        before = resident_bytes()
        first_s, again_s = work(), work()
        return max(0.0, first_s - again_s) / num_kernels, max(0.0, resident_bytes() - before) / num_kernels


if __name__ == "__main__":
    told = _measure_here(sys.argv[1])  # type: ignore[arg-type]
    sys.stdout.write(json.dumps(vars(told)) + "\n")
