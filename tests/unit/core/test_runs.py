import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from radlet.core import runs
from radlet.core.config import StageConfig
from radlet.core.errors import DataError, RunError
from radlet.core.runs import DONE, Run, open_run, run_digest, sha256_text, write_atomically


class Recipe(StageConfig):
    examples: Path | None = None
    steps: int = 3


def recipe(tmp_path, **values):
    return Recipe(runs_dir=tmp_path / "runs", **values)


def finished_run(tmp_path, text="weights", **values) -> Run:
    run = open_run(recipe(tmp_path, **values), "build")
    (run.path / "checkpoint").mkdir()
    (run.path / "checkpoint" / "model.bin").write_text(text)
    (run.path / "film.png").write_bytes(b"12345678")
    run.finish()
    return run


def downstream(tmp_path, upstream: Path, **values) -> Run:
    return open_run(recipe(tmp_path, examples=upstream, **values), "align", {"examples": upstream})


def test_a_new_run_records_its_configuration_inputs_and_environment(tmp_path):
    upstream = finished_run(tmp_path).path
    run = downstream(tmp_path, upstream)
    assert not run.finished
    assert json.loads((run.path / "config.json").read_text())["steps"] == 3
    entry = json.loads((run.path / "inputs.json").read_text())["examples"]
    assert entry == {"path": str(upstream.resolve()), "digest": run_digest(upstream)}
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["packages"]["pydantic"]
    assert not (run.path / DONE).exists()


def test_the_folder_is_named_by_stage_recipe_and_digest(tmp_path):
    run = open_run(recipe(tmp_path, name="tiny"), "build")
    assert run.path.parent == tmp_path / "runs" / "build"
    assert run.path.name.startswith("tiny-")


def test_equal_work_is_done_once(tmp_path):
    first = finished_run(tmp_path)
    again = open_run(recipe(tmp_path), "build")
    assert again.finished
    assert again.path == first.path


def test_reopening_a_finished_run_touches_nothing(tmp_path):
    first = finished_run(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in first.path.rglob("*")}
    open_run(recipe(tmp_path), "build")
    assert {file: file.stat().st_mtime_ns for file in first.path.rglob("*")} == before


def test_an_unfinished_run_is_found_again_with_what_it_holds(tmp_path):
    first = open_run(recipe(tmp_path), "build")
    first.log(step=1, loss=0.5)
    again = open_run(recipe(tmp_path), "build")
    assert again.path == first.path
    assert not again.finished
    again.log(step=2, loss=0.25)
    rows = [json.loads(line) for line in (again.path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]


@pytest.mark.parametrize("change", [{"steps": 4}, {"seed": 1}])
def test_another_configuration_is_another_run(tmp_path, change):
    assert open_run(recipe(tmp_path, **change), "build").path.name != open_run(recipe(tmp_path), "build").path.name


def test_another_stage_is_another_run(tmp_path):
    assert open_run(recipe(tmp_path), "align").path.name != open_run(recipe(tmp_path), "build").path.name


def test_name_and_folder_do_not_count_towards_the_digest(tmp_path):
    one = open_run(recipe(tmp_path, name="a"), "build").path.name.split("-")[-1]
    two = open_run(Recipe(name="b", runs_dir=tmp_path / "elsewhere"), "build").path.name.split("-")[-1]
    assert one == two


def test_a_moved_upstream_is_still_the_same_work(tmp_path):
    upstream = finished_run(tmp_path).path
    before = downstream(tmp_path, upstream).path
    moved = upstream.rename(tmp_path / "moved")
    assert downstream(tmp_path, moved).path == before


def test_other_upstream_contents_are_other_work(tmp_path):
    one = finished_run(tmp_path, text="a", seed=1).path
    two = finished_run(tmp_path, text="b", seed=2).path
    assert downstream(tmp_path, one).path != downstream(tmp_path, two).path


def test_a_missing_upstream_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        downstream(tmp_path, tmp_path / "absent")


def test_an_unfinished_upstream_is_refused(tmp_path):
    run = open_run(recipe(tmp_path), "build")
    with pytest.raises(DataError, match="is not finished"):
        downstream(tmp_path, run.path)


def tamper_content(path):
    (path / "checkpoint" / "model.bin").write_text("WEIGHTS")


def tamper_size(path):
    (path / "film.png").write_bytes(b"1234")


def remove_file(path):
    (path / "film.png").unlink()


def tamper_config(path):
    (path / "config.json").write_text((path / "config.json").read_text().replace("3", "4"))


def tamper_listing(path):
    (path / "outputs.json").write_text("{}")


def remove_listing(path):
    (path / "outputs.json").unlink()


def empty_done(path):
    (path / DONE).write_text("")


def garble_done(path):
    (path / DONE).write_bytes(b"\xff\xfe")


def garble_listing(path):
    (path / "outputs.json").write_bytes(b"\xff\xfe")


TAMPERINGS = [
    tamper_content,
    tamper_size,
    remove_file,
    tamper_config,
    tamper_listing,
    garble_listing,
    remove_listing,
    empty_done,
    garble_done,
]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_a_changed_run_is_refused_everywhere_and_says_how_to_recover(tmp_path, tamper):
    path = finished_run(tmp_path).path
    tamper(path)
    with pytest.raises(DataError, match="Delete the folder and run its stage again"):
        downstream(tmp_path, path)
    with pytest.raises(DataError, match="Delete the folder and run its stage again"):
        open_run(recipe(tmp_path), "build")


def test_a_checkpoint_file_that_shares_a_bookkeeping_name_is_guarded_too(tmp_path):
    run = open_run(recipe(tmp_path), "build")
    (run.path / "inner").mkdir()
    (run.path / "inner" / "environment.json").write_text("{}")
    run.finish()
    (run.path / "inner" / "environment.json").write_text("[]")
    with pytest.raises(DataError, match="was changed"):
        run_digest(run.path)


def test_files_added_after_the_end_do_not_break_a_run(tmp_path):
    path = finished_run(tmp_path).path
    digest = run_digest(path)
    (path / "note.txt").write_text("seen")
    assert run_digest(path) == digest


def test_the_digest_covers_every_output(tmp_path):
    run = finished_run(tmp_path)
    listing = (run.path / "outputs.json").read_text()
    assert {"film.png", "config.json", "inputs.json", "checkpoint/model.bin"} == set(json.loads(listing))
    assert run_digest(run.path) == sha256_text(listing)


def test_finish_marks_the_run_and_leaves_no_temporary_file(tmp_path):
    run = finished_run(tmp_path)
    assert run.finished
    assert not list(run.path.rglob("*.tmp"))


def test_done_appears_only_after_everything_else(tmp_path, monkeypatch):
    order = []
    replace = Path.replace

    def spy(self, target):
        order.append(Path(target).name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    finished_run(tmp_path)
    assert order[-2:] == ["outputs.json", DONE]


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    write_atomically(path, "old")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_written_as_it_is_and_bytes_too(tmp_path):
    for content, kept in (("å\r\n", b"\xc3\xa5\r\n"), (b"\x00\xff", b"\x00\xff"), (iter(("a\n", "b\n")), b"a\nb\n")):
        write_atomically(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == kept


def test_a_run_killed_while_finishing_is_not_finished(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
import radlet.core.runs as runs
from radlet.core.config import StageConfig
run = runs.open_run(StageConfig(runs_dir=Path({str(tmp_path)!r})), "build")
(run.path / "a.txt").write_text("a")
runs._done = lambda digest: os.kill(os.getpid(), signal.SIGKILL)
run.finish()
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode != 0
    again = open_run(StageConfig(runs_dir=tmp_path), "build")
    assert not again.finished
    assert (again.path / "outputs.json").exists()
    again.finish()
    assert open_run(StageConfig(runs_dir=tmp_path), "build").finished


def test_a_field_without_effect_does_not_tell_runs_apart(tmp_path):
    class Parallel(StageConfig):
        without_effect = StageConfig.without_effect | {"num_workers"}
        num_workers: int = 1
        size: int = 1

    def folder(**values: int):
        return open_run(Parallel(runs_dir=tmp_path, **values), "build").path

    assert folder(num_workers=1) == folder(num_workers=8)
    assert folder(size=1) != folder(size=2)


def open_elsewhere(tmp_path, then: str) -> subprocess.Popen[str]:
    """Open the run of `recipe` in a process of its own, which says so and goes on as `then` says."""
    script = f"""
import sys
from pathlib import Path
from radlet.core.config import StageConfig
from radlet.core.runs import open_run
run = open_run(StageConfig(runs_dir=Path({str(tmp_path)!r})), "build")
print("open", flush=True)
{then}
"""
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_run_that_another_process_is_writing_is_refused_until_that_process_ends(tmp_path):
    pytest.importorskip("fcntl")
    with open_elsewhere(tmp_path, "sys.stdin.read()") as other:
        assert other.stdout.readline() == "open\n", other.stderr.read()
        with pytest.raises(RunError, match="is being written by another process"):
            open_run(StageConfig(runs_dir=tmp_path), "build")
        other.kill()
    open_run(StageConfig(runs_dir=tmp_path), "build").finish()


def test_a_finished_run_is_open_to_all_and_holds_no_lock_file(tmp_path):
    with open_elsewhere(tmp_path, "run.finish(); print('finished', flush=True); sys.stdin.read()") as other:
        assert other.stdout.readline() == "open\n", other.stderr.read()
        assert other.stdout.readline() == "finished\n"
        run = open_run(StageConfig(runs_dir=tmp_path), "build")
        assert run.finished
        assert not (run.path / ".lock").exists()
        other.kill()


def test_a_run_that_finishes_while_it_is_being_opened_is_not_written_again(tmp_path, monkeypatch):
    first = open_run(StageConfig(runs_dir=tmp_path), "build")
    lock = runs._lock

    def late(path):
        first.finish()
        lock(path)

    monkeypatch.setattr(runs, "_lock", late)
    assert open_run(StageConfig(runs_dir=tmp_path), "build").finished


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    with pytest.raises(RunError, match=r"runs_dir that is a folder"):
        open_run(recipe(tmp_path), "build")
