import os
import time
from pathlib import Path

import pytest

from radlet.reading.store.films import keep_file, passing_folder, sweep

OLD = time.time() - 7200


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    kept, half, fresh = (tmp_path / "films" / "ab" / name for name in ("abc.dcm", ".abd.dcm.1.tmp", ".abe.dcm.2.tmp"))
    for path in (kept, half, fresh):
        keep_file(path, b"film")
    left = tmp_path / "tmp" / "left"
    left.mkdir(parents=True)
    (left / "film").write_bytes(b"film")
    for path in (kept, half, left):
        os.utime(path, (OLD, OLD))
    with passing_folder(tmp_path) as passing:
        assert sweep(tmp_path) == 2
        assert sorted(path.name for path in (tmp_path / "tmp").iterdir()) == [Path(passing).name]
    assert sorted(path.name for path in kept.parent.iterdir()) == sorted((kept.name, fresh.name))


@pytest.mark.parametrize("exists", [False, True])
def test_there_may_be_nothing_to_sweep(tmp_path: Path, *, exists: bool) -> None:
    assert sweep(tmp_path if exists else tmp_path / "none") == 0
