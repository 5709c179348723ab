"""What is measured of this machine."""

import mmap

import torch

from radlet.stages.machine_rates import draw_rate, function_rate, resident_bytes, stream_bandwidth


def test_memory_that_is_filled_is_resident() -> None:
    before = resident_bytes()
    with mmap.mmap(-1, 64 * 1024**2) as fresh:  # the heap may have room from before
        fresh.write(b"1" * len(fresh))
        assert resident_bytes() - before > 0.5 * len(fresh)


def test_random_numbers_are_slower_than_sums() -> None:
    sums = stream_bandwidth(num_bytes=64 * 1024, num_blocks=4) / 12
    assert 0 < draw_rate(4096) < sums
    assert function_rate(torch.float32, 4096) > 0
