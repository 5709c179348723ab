"""The C library's heap under training: it keeps what is freed, and what that comes to can be found beforehand.

Batches differ in length and the kernels compiled for them stay where there was room, so that what was freed does not
fit what is asked for next. `heap_bytes` asks for the memory of some steps in a process of its own, touches none of it,
and reads how large the heap has become.
"""

import ctypes
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

from radlet.core.errors import RadletError

# Numbers of glibc's malloc.h, for mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_ALIGNMENT = 64
"""Of PyTorch's blocks."""


def keep_freed_memory() -> None:
    """Ask glibc to keep what is freed: each step asks for the same large blocks again, and fresh pages are slow.

    Without this the system zeroes every activation's pages anew, which takes a third of the time of a small encoder's
    step. The process then keeps its largest size to its end. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def heap_bytes(step: "StepMemory", num_batches: int) -> float:
    """Return by how many bytes the heap grows in so many micro-batches; 0 where the C library does not tell.

    It is 0 too where there is not so much memory to be asked for: then the step does not fit in any case.

    Raises:
        RadletError: The process that asks for the memory failed.
    """
    command = [sys.executable, "-m", __name__, str(num_batches)]
    ended = subprocess.run(command, input=json.dumps(asdict(step)), capture_output=True, text=True, check=False)
    if ended.returncode:
        last = "".join(ended.stderr.strip().splitlines()[-1:])
        raise RadletError(f"The memory of a step could not be replayed ({last}). Plan for a named machine: --machine.")
    return float(ended.stdout)


@dataclass(frozen=True)
class StepMemory:
    """What a step asks for.

    Attributes:
        blocks: Memory asked for by a micro-batch, (number, bytes), and given back, (number, 0), in order. Those that
            stay are gradients, which the optimiser's step gives back and has two averages for.
        spread: Standard deviation of the lengths of micro-batches, over their mean.
        kernels: Compiled in each micro-batch and kept.
        kernel_bytes: Of one of them.
    """

    blocks: Sequence[tuple[int, int]]
    spread: float
    kernels: int
    kernel_bytes: int


class _Heap:
    """Asks the C library for memory."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._libc.mallinfo2.restype = _Mallinfo
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._libc.posix_memalign.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
        self._held: dict[int, ctypes.c_void_p] = {}

    @property
    def size(self) -> int:
        """Bytes of the heap."""
        return int(self._libc.mallinfo2().arena)

    def take(self, number: int, num_bytes: int) -> None:
        """Ask for a block."""
        place = ctypes.c_void_p()
        if self._libc.posix_memalign(ctypes.byref(place), _ALIGNMENT, num_bytes):
            raise MemoryError
        self._held[number] = place

    def give(self, number: int) -> None:
        """Give a block back."""
        self._libc.free(self._held.pop(number))


class _Mallinfo(ctypes.Structure):
    # All counts of mallinfo2(3), of which the first is the heap's size.
    _fields_: ClassVar = [("arena", ctypes.c_size_t), ("others", ctypes.c_size_t * 9)]


def _replay(step: StepMemory, num_batches: int) -> int:
    keep_freed_memory()
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        return 0
    heap, lengths = _Heap(), random.Random(0)
    before = heap.size
    freed = {number for number, num_bytes in step.blocks if not num_bytes}
    gradients = [(number, num_bytes) for number, num_bytes in step.blocks if number not in freed]
    every = max(1, len(step.blocks) // step.kernels) if step.kernels else 0
    kept = -1  # numbers that no block has
    for batch in range(num_batches):
        length = max(0.1, lengths.gauss(1.0, step.spread))
        for place, (number, num_bytes) in enumerate(step.blocks):
            if every and place % every == 0:
                heap.take(kept := kept - 1, step.kernel_bytes)
            if not num_bytes:
                heap.give(number)
            else:
                heap.take(number, round(num_bytes * length) if number in freed else num_bytes)
        for number, num_bytes in gradients:
            if batch == 0:
                heap.take(kept := kept - 1, num_bytes)
                heap.take(kept := kept - 1, num_bytes)
            heap.give(number)
    return heap.size - before


def _main() -> None:
    step = StepMemory(**json.load(sys.stdin))
    try:
        found = _replay(step, int(sys.argv[1]))
    except MemoryError:
        found = 0
    sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    _main()
