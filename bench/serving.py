"""Load on `radlet serve`: many clients of OpenAI's API at once, against drafts written together and one at a time.

    python bench/serving.py DEMO [--clients 200] [--seconds 180] [--rounds 1] [--threads 2] [--json FILE]

DEMO is the folder of `radlet demo`. Each round starts a server of its own for each arm: ``together`` with the default
line, ``alone`` with max_running=1 and the same bound on the whole line. Every client asks for the draft of a film,
waits for it, and asks again; who is told 429 waits as long as Retry-After says. Prints answers by status, times of the
answers with 200, drafts a second, the server's memory over time (resident set, every second: its slope after the first
quarter, and the means of the second and the last one), and the ratio of the arms. Exits 1 if anything but 200 and 429
came.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import psutil

from radlet.data.manifests import read_examples

ARMS = {"together": [], "alone": ["room.queue.max_running=1", "room.queue.max_waiting=79"]}
NAME = "radlet-demo"


def asked_for(demo, count):
    """Return requests for drafts of frontal films of the test split."""
    build = max((demo / "runs" / "build").glob("*/DONE")).parent
    rows = [row for row in read_examples(build) if row.split == "test"]
    films = [
        path for row in rows for path, view in zip(row.image_paths, row.views, strict=True) if view in ("PA", "AP")
    ]
    bodies = []
    for path in films[:count]:
        url = f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"
        content = [{"type": "image_url", "image_url": {"url": url}}]
        bodies.append({"model": NAME, "messages": [{"role": "user", "content": content}]})
    return bodies


@contextmanager
def serving(demo, changes, threads):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "radlet.cli", "serve", str(demo), "--port", str(port)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--data-dir", folder, *changes], env=environment, stdout=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process)
            yield url, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def wait_for(url, process):
    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit("The server ended before it was ready.")
        try:
            if httpx2.get(f"{url}/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.25)
    raise SystemExit("The server was not ready within five minutes.")


def those_that_pass(url, bodies):
    """Leave out films that the gate refuses; this also warms the server up."""
    with httpx2.Client(timeout=300) as client:
        return [body for body in bodies if client.post(f"{url}/v1/chat/completions", json=body).status_code == 200]


async def ask(client, url, bodies, number, until, answers):
    turn = number
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            answer = await client.post(f"{url}/v1/chat/completions", json=bodies[turn % len(bodies)])
            status, wait = answer.status_code, float(answer.headers.get("Retry-After", 0))
        except httpx2.TransportError as error:
            status, wait = type(error).__name__, 0.5
        answers.append((status, time.monotonic() - began, time.monotonic()))
        turn += 1
        if status != 200:
            await asyncio.sleep(min(wait or 0.5, max(until - time.monotonic(), 0)))


async def watch(process, until, memory):
    while time.monotonic() < until:
        memory.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(1)


async def load(url, process, bodies, clients, seconds):
    answers, memory = [], []
    until = time.monotonic() + seconds
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(timeout=300, limits=limits) as client:
        asking = (ask(client, url, bodies, number, until, answers) for number in range(clients))
        await asyncio.gather(watch(process, until, memory), *asking)
    return answers, memory, until


def summary(answers, memory, until, seconds):
    times = np.array([took for status, took, _ in answers if status == 200])
    within = sum(status == 200 and at <= until for status, _, at in answers)
    return {
        "answers": {str(status): count for status, count in Counter(status for status, *_ in answers).items()},
        "drafts_per_s": round(within / seconds, 2),
        "p50_s": round(float(np.quantile(times, 0.5)), 2) if len(times) else None,
        "p95_s": round(float(np.quantile(times, 0.95)), 2) if len(times) else None,
        "memory_mb": over_time(np.array(memory)),
    }


def over_time(memory):
    """Tell whether memory grows once the service is warm."""
    quarters = [float(part.mean()) for part in np.array_split(memory, 4)]
    warm = memory[len(memory) // 4 :]
    slope = np.polynomial.Polynomial.fit(np.arange(len(warm)), warm, 1).convert().coef[1] if len(warm) > 2 else 0.0
    return {
        "second_quarter": round(quarters[1], 1),
        "last_quarter": round(quarters[3], 1),
        "last_over_second": round(quarters[3] / quarters[1], 4),
        "slope_mb_per_min": round(60 * float(slope), 2),
        "most": round(float(memory.max()), 1),
        "every_second": [round(float(one)) for one in memory],
    }


def without_series(row):
    memory = {name: value for name, value in row["memory_mb"].items() if name != "every_second"}
    return row | {"memory_mb": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    bodies = asked_for(given.demo, 24)
    found = {arm: [] for arm in ARMS}
    for _ in range(given.rounds):
        for arm, changes in ARMS.items():
            with serving(given.demo, changes, given.threads) as (url, process):
                passing = those_that_pass(url, bodies)
                answers, memory, until = asyncio.run(load(url, process, passing, given.clients, given.seconds))
            found[arm].append(summary(answers, memory, until, given.seconds))
            print(arm, json.dumps(without_series(found[arm][-1])), flush=True)
    rates = {arm: float(np.mean([one["drafts_per_s"] for one in found[arm]])) for arm in ARMS}
    ratio = round(rates["together"] / rates["alone"], 2)
    print(f"together / alone: {ratio:.2f} (bar 1.5)")
    if given.json:
        asked = {"clients": given.clients, "seconds": given.seconds, "threads": given.threads}
        given.json.write_text(json.dumps({**asked, "ratio": ratio, "arms": found}) + "\n", encoding="utf-8")
    return any(set(one["answers"]) - {"200", "429"} for arm in ARMS for one in found[arm])


if __name__ == "__main__":
    sys.exit(main())
