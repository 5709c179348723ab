"""The command line starts quickly, and records can be read anywhere, only while core pulls in nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("rich", "torch", "transformers", "peft", "numpy", "pyarrow", "PIL", "pydicom", "scipy", "sklearn")


@pytest.mark.parametrize("module", ["config", "console", "errors", "jsonl", "locks", "records", "registry", "runs"])
def test_core_pulls_in_nothing_heavy(module):
    script = f"import sys, radlet.core.{module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
