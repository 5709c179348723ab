"""Ingest and build on Ray: what they make, and that a crash, a hang or a killed worker stops nothing.

    pytest -m ray tests/e2e/test_ray.py

Ray's processes open sockets on loopback, so these tests run the command line in processes of their own.
"""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.fixtures.dicom_files import truncate, write_film

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason='needs the extra: pip install "radlet[ray]"'),
]
CRASHING = """
import os, signal, sys, time

def read_film(path):
    if path.name == "5.dcm":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "6.dcm":
        time.sleep(600)
    return read(path)

if any("spawn_main" in word for word in sys.orig_argv):  # the processes that decode; Ray's own should start quickly
    from radlet.data import ingestion

    read, ingestion.read_film = ingestion.read_film, read_film
"""


@pytest.fixture
def recipe(tmp_path):
    for number in range(40):
        write_film(tmp_path / "tree" / f"{number}.dcm", number, PatientID=f"MRN{number // 2}")
    truncate(tmp_path / "tree" / "7.dcm", 0.7)
    (tmp_path / "key").write_text("k" * 32)
    rows = [
        {"StudyInstanceUID": f"1.2.826.0.2.{number}", "report": f"FINDINGS: Small left effusion {number}."}
        for number in range(40)
    ]
    (tmp_path / "reports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "ingest.toml"
    path.write_text(
        f'pseudonym_key_file = "{tmp_path}/key"\n[source]\nkind = "dicom_tree"\nroot = "{tmp_path}/tree"\n'
        f'[source.reports]\npath = "{tmp_path}/reports.jsonl"\ncolumns = {{ report = "report" }}\n'
    )
    (tmp_path / "build.toml").write_text("")
    return path


def start(stage, recipe, *overrides, **environment):
    command = [sys.executable, "-m", "radlet.cli", stage, str(recipe), "num_workers=2", *overrides]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def finish(child):
    out, err = child.communicate()
    assert child.returncode == 0, err
    return Path(out.strip())


def contents(run_dir):
    listed = json.loads((run_dir / "outputs.json").read_text())
    return {name: entry for name, entry in listed.items() if name not in ("config.json", "inputs.json")}


def descendants(pid):
    done = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in done.stdout.splitlines()]
    found, known = {}, {pid}
    for own, parent, command in sorted(rows, key=lambda row: int(row[0])):
        if int(parent) in known:
            known.add(int(own))
            found[int(own)] = command
    return found


def test_the_result_is_that_of_local_processes(recipe, tmp_path):
    local = finish(start("ingest", recipe, f"runs_dir={tmp_path}/local"))
    on_ray = finish(start("ingest", recipe, f"runs_dir={tmp_path}/ray", "executor=ray"))
    assert contents(on_ray) == contents(local)
    assert len(list(on_ray.glob("images/*.png"))) == 39
    build = tmp_path / "build.toml"
    local = finish(start("build", build, f"ingest={local}", f"runs_dir={tmp_path}/local"))
    on_ray = finish(start("build", build, f"ingest={on_ray}", f"runs_dir={tmp_path}/ray", "executor=ray"))
    assert contents(on_ray) == contents(local)
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("radlet-ray-*"))  # noqa: S108


def test_films_that_crash_or_hang_are_refused_and_the_rest_goes_on(recipe, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASHING)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    overrides = (f"runs_dir={tmp_path}/runs", "executor=ray", "report_paths=true", "file_timeout_s=3")
    run_dir = finish(start("ingest", recipe, *overrides, PYTHONPATH=path))
    rejected = {
        row["id"]: row["reason"] for row in map(json.loads, (run_dir / "rejected.jsonl").read_text().splitlines())
    }
    assert rejected["5.dcm"] == "crashed the decoder"
    assert rejected["6.dcm"] == "took longer than 3 s to decode"
    assert set(rejected) == {"5.dcm", "6.dcm", "7.dcm"}
    assert len(list(run_dir.glob("images/*.png"))) == 37


def test_killed_workers_and_a_killed_command_change_nothing(recipe, tmp_path):
    calm = finish(start("ingest", recipe, f"runs_dir={tmp_path}/calm"))
    (tmp_path / "site").mkdir()
    slow = CRASHING.replace('if path.name == "5.dcm"', "time.sleep(0.2)\n    if False").replace('"6.dcm"', '""')
    (tmp_path / "site" / "sitecustomize.py").write_text(slow)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    arguments = ("ingest", recipe, f"runs_dir={tmp_path}/runs", "executor=ray")
    child = start(*arguments, PYTHONPATH=path)
    images = tmp_path / "runs" / "ingest"

    def stored():
        return len(list(images.glob("*/images/*.png")))

    wait_for(lambda: stored() >= 3)
    workers = [pid for pid, command in descendants(child.pid).items() if command.startswith("ray::_work_through")]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    before = stored()
    wait_for(lambda: stored() >= before + 3)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert contents(finish(start(*arguments))) == contents(calm)


def test_nothing_listens_beyond_loopback(recipe, tmp_path):
    child = start("ingest", recipe, f"runs_dir={tmp_path}/runs", "executor=ray")
    seen = set()

    def watch():
        while child.poll() is None:
            own = {child.pid, *descendants(child.pid)}
            seen.update(address for address, pid in listeners() if pid in own)
            time.sleep(0.3)

    watcher = threading.Thread(target=watch)
    watcher.start()
    finish(child)
    watcher.join()
    assert seen, "the ports of Ray were not seen"
    assert all(is_loopback(address) for address in seen), seen


def listeners():
    """Yield (address in hex, pid) of every listening TCP socket."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes[fields[9]] = fields[1].partition(":")[0]
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            yield inodes[target[8:-1]], int(link.parts[2])


def is_loopback(address):
    words = [bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)]
    packed = b"".join(words)
    if len(packed) == 16 and packed[:12] == bytes(10) + b"\xff\xff":
        packed = packed[12:]
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, packed)
    return text.startswith("127.") or text == "::1"


def wait_for(condition, timeout_s=300.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
