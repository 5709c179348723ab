"""How many synthetic films one core makes a second, by size: python bench/synthetic_speed.py"""

import argparse
import time

from radlet.data.sources.synthetic import SyntheticSource


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--patients", type=int, default=100)
    options = parser.parse_args()
    for size_px in options.sizes:
        source = SyntheticSource(num_patients=options.patients, size_px=size_px)
        next(iter(source.studies(1)))
        wall, cpu = time.perf_counter(), time.process_time()
        films = sum(len(raw.pixels) for raw in source.studies(0))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(
            f"{size_px:5d} px  {films} films, a second: {films / cpu:.1f} (processor time), {films / wall:.1f} (wall)"
        )


if __name__ == "__main__":
    main()
