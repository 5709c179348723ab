"""What the heap comes to is what a step asks for, and what no longer fits where something was given back."""

import sys

import pytest

from radlet.training.heap import StepMemory, heap_bytes

MB = 1024**2
# Two activations that are given back, and a gradient, which stays.
BLOCKS = [(0, 8 * MB), (1, 8 * MB), (2, 2 * MB), (0, 0), (1, 0)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the heap of glibc")


def test_the_heap_holds_activations_and_gradients_at_least() -> None:
    # A little may find room in what the heap has from the start.
    assert 17 * MB <= heap_bytes(StepMemory(BLOCKS, 0.0, 0, 0), num_batches=1) <= 26 * MB


def test_averages_stay_and_so_do_kernels() -> None:
    def grown(kernels: int, num_batches: int) -> float:
        return heap_bytes(StepMemory(BLOCKS, 0.0, kernels, MB), num_batches)

    one, many, compiled = grown(0, 1), grown(0, 8), grown(4, 8)
    assert one < many
    # How scattered the rest is differs from run to run, so that no more is sure than what is held.
    assert compiled >= 17 * MB + 4 * 8 * MB


def test_more_than_there_is_ends_in_no_error() -> None:
    assert heap_bytes(StepMemory([(0, 2**60), (0, 0)], 0.0, 0, 0), 1) == 0
