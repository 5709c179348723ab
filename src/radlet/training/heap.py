"""The C library's heap under training: it keeps what is freed, and what that comes to can be found beforehand.

Batches differ in length and the kernels compiled for them stay where there was room, so that what was freed does not
fit what is asked for next. `heap_bytes` asks for the memory of some steps in a process of its own, touches none of it,
and reads how large the heap has become.
"""

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from radlet.core.errors import RadletError

# Numbers of glibc's malloc.h, for mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

_ALIGNMENT = 64
"""Of PyTorch's blocks."""
_LENGTHS = (1.0, 0.95, 1.05, 0.9, 1.02, 0.98, 1.1, 0.93)
"""Lengths of the replayed batches over the mean, again and again."""


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


def heap_bytes(blocks: Sequence[tuple[int, int]], kernels: int, kernel_bytes: float, num_batches: int) -> float:
    """Return by how many bytes the heap grows in training; 0 where the C library does not tell.

    Args:
        blocks: Memory asked for by a micro-batch, (number, bytes), and given back, (number, 0), in order.
        kernels: Compiled in each micro-batch and kept.
        kernel_bytes: Of one of them.
        num_batches: Replayed.

    Raises:
        RadletError: The process that asks for it failed.
    """
    given = {"blocks": list(blocks), "kernels": kernels, "kernel_bytes": int(kernel_bytes), "num_batches": num_batches}
    command = [sys.executable, "-m", __name__]
    ended = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RadletError("The memory of a step could not be replayed. Plan for a named machine: --machine NAME.")
    return float(ended.stdout)


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
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def _replay(blocks: list[list[int]], kernels: int, kernel_bytes: int, num_batches: int) -> int:
    keep_freed_memory()
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        return 0
    heap = _Heap()
    before = heap.size
    freed = {number for number, num_bytes in blocks if not num_bytes}
    every = max(1, len(blocks) // kernels) if kernels else 0
    kept = 0
    for batch in range(num_batches):
        length = _LENGTHS[batch % len(_LENGTHS)]
        for place, (number, num_bytes) in enumerate(blocks):
            if every and place % every == 0:
                kept -= 1  # numbers that no block has
                heap.take(kept, kernel_bytes)
            if not num_bytes:
                heap.give(number)
            elif number in freed:
                heap.take(number, round(num_bytes * length))
            else:
                heap.take(number, num_bytes)
        for number, num_bytes in blocks:  # gradients go with the optimiser's step
            if num_bytes and number not in freed:
                heap.give(number)
    return heap.size - before


def _main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    sys.stdout.write(f"{_replay(**given)}\n")


if __name__ == "__main__":
    _main()
