import os
import signal
import time
from pathlib import Path

import pytest

from radlet.core.errors import DataError
from radlet.data.supervision import run_supervised


@pytest.fixture(autouse=True)
def _importable(monkeypatch, repository):
    """A spawned process finds the work by its module's name, which starts at the root of the checkout."""
    monkeypatch.syspath_prepend(repository)


def write_items(task, poisoned):
    """Write ``done`` or the reason for every item of (folder, items); an item's name says how it ends."""
    folder, items = task
    for item in items:
        if item in poisoned:
            (Path(folder) / item).write_text(poisoned[item])
            continue
        yield item
        if "crash" in item:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in item:
            time.sleep(60)
        if "refuse" in item:
            raise DataError("refused")
        if "fault" in item:
            raise RuntimeError("DOE^JANE")
        (Path(folder) / item).write_text("done")
        yield None


def die(task, poisoned):
    os.kill(os.getpid(), signal.SIGKILL)
    yield "never"


def run(work, tasks, timeout_s=20.0):
    begun = []
    run_supervised(work, tasks, num_workers=2, item_timeout_s=timeout_s, on_item=lambda: begun.append(1))
    return len(begun)


def test_crashes_and_hangs_stop_nothing_else(tmp_path):
    items = [["a", "crash1", "b"], ["c"], ["crash2", "crash3", "d"], ["hang", "e"]]
    run(write_items, [(tmp_path, part) for part in items], timeout_s=1.5)
    ends = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert {name for name, end in ends.items() if end == "done"} == set("abcde")
    assert {ends[name] for name in ("crash1", "crash2", "crash3")} == {"crashed the decoder"}
    assert ends["hang"] == "took longer than 1.5 s to decode"


def test_every_item_is_told_once_when_all_goes_well(tmp_path):
    assert run(write_items, [(tmp_path, ["a", "b"]), (tmp_path, ["c"])]) == 3


def test_errors_for_the_user_come_through_and_faults_come_without_their_text(tmp_path):
    with pytest.raises(DataError, match=r"^refused$"):
        run(write_items, [(tmp_path, ["refuse"])])
    with pytest.raises(DataError, match="A worker failed with RuntimeError") as fault:
        run(write_items, [(tmp_path, ["fault"])])
    assert "DOE" not in str(fault.value)


def test_a_worker_that_dies_outside_of_an_item_ends_the_run(tmp_path):
    with pytest.raises(DataError, match="outside of any film"):
        run(die, ["task"])


def die_once(task, poisoned):
    """Die at the first try of every item of (folder, items), and once more outside of any."""
    folder, items = Path(task[0]), task[1]
    for item in items:
        if (folder / item).exists():
            continue
        yield item
        if not (folder / f"{item}.tried").exists():
            (folder / f"{item}.tried").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / item).write_text(poisoned.get(item, "done"))
        yield None
    if not (folder / "between.tried").exists():
        (folder / "between.tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def test_one_death_costs_no_item(tmp_path):
    run(die_once, [(tmp_path, ["a", "b"])])
    assert {path.name: path.read_text() for path in tmp_path.glob("?")} == {"a": "done", "b": "done"}
