"""SIGKILL of `ingest` and `build` at random moments, and the digest of what they then finish with.

Every other kill hits the command itself, the others one of its worker processes. After each kill of the command it is
started again. The contents of the finished run (every file but config.json and inputs.json, which hold paths) must
have the digest of a calm run's.

    python bench/kills.py ingest.toml build.toml --kills 10 num_workers=2
"""

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

LONGEST_S = 1800.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ingest", type=Path, help="recipe of ingest")
    parser.add_argument("build", type=Path, help="recipe of build")
    parser.add_argument("overrides", nargs="*", help="for both, such as num_workers=2 or executor=ray")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_intermixed_args()
    moments = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        key = root / "pseudonym.key"
        key.write_text("k" * 64)
        ingest = [str(given.ingest), f"pseudonym_key_file={key}", *given.overrides]
        ingested = _check("ingest", ingest, root, given.kills, moments)
        _check("build", [str(given.build), f"ingest={ingested}", *given.overrides], root, given.kills, moments)


def _check(stage: str, arguments: list[str], root: Path, kills: int, moments: random.Random) -> str:
    begun = time.monotonic()
    calm = _finish(_start(stage, arguments, root / f"{stage}-calm"))
    took_s = time.monotonic() - begun
    left = kills
    rounds = 0
    while left:  # a run that ends before its kills are used up is begun anew
        rounds += 1
        shutil.rmtree(root / f"{stage}-killed", ignore_errors=True)
        hurt, left = _kill_often(stage, arguments, root / f"{stage}-killed", left, took_s, moments)
        if _contents(hurt) != _contents(calm):
            raise SystemExit(f"{stage}: the contents differ after kills")
    print(f"{stage}: {kills} kills in {rounds} runs, contents as of the calm run: {_contents(calm)[:16]}", flush=True)
    return calm


def _kill_often(
    stage: str, arguments: list[str], runs: Path, kills: int, took_s: float, moments: random.Random
) -> tuple[str, int]:
    child = _start(stage, arguments, runs)
    while kills:
        end = time.monotonic() + moments.uniform(0.2, 1.0) * took_s / 2
        while time.monotonic() < end and child.poll() is None:
            time.sleep(0.02)
        if child.poll() is not None:
            break
        workers = psutil.Process(child.pid).children(recursive=True)
        if kills % 2 and workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                moments.choice(workers).kill()
        else:
            child.kill()
            child.wait()
            child = _start(stage, arguments, runs)
        kills -= 1
    return _finish(child), kills


def _start(stage: str, arguments: list[str], runs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "radlet.cli", stage, *arguments, f"runs_dir={runs}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(child: subprocess.Popen[str]) -> str:
    out, err = child.communicate(timeout=LONGEST_S)
    if child.returncode:
        raise SystemExit(err)
    return out.strip()


def _contents(run_dir: str) -> str:
    listed = json.loads((Path(run_dir) / "outputs.json").read_text())
    own = {name: entry for name, entry in listed.items() if name not in ("config.json", "inputs.json")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    main()
