"""What every tier of tests shares."""

import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = [
    "tests.fixtures.tiny",
    "tests.fixtures.scorer_weights",
    "tests.fixtures.databases",
    "tests.fixtures.small_disk",
]

REPOSITORY = Path(__file__).resolve().parents[1]

# No test may reach a model hub; set before transformers is imported, and inherited by every process a test starts.
os.environ["HF_HUB_OFFLINE"] = "1"
# One thread a worker: two would otherwise fight for the cores, and sums would depend on the number of threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# The same examples each time, and no deadline: a busy machine must not turn a right answer into a failure.
hypothesis.settings.register_profile("radlet", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("radlet")


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real radiology data (RADLET_DATA, else ``../shared/data``); skips where there is none."""
    path = Path(os.environ.get("RADLET_DATA", REPOSITORY.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; set RADLET_DATA to its folder")
    return path
