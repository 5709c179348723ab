import errno
import os

import pytest

from radlet.core import locks

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def descriptors(tmp_path):
    """Two open files of one path, which exclude each other as two processes do."""
    opened = [os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2)]
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def test_only_one_holds_the_lock(descriptors):
    one, two = descriptors
    assert locks.lock_file(one, wait=False)
    assert not locks.lock_file(two, wait=False)
    fcntl.flock(one, fcntl.LOCK_UN)
    assert locks.lock_file(two, wait=True)


def test_where_locks_are_missing_nothing_is_guarded(descriptors, monkeypatch):
    assert locks.lock_file(descriptors[0], wait=False)
    monkeypatch.setattr(locks, "fcntl", None)
    assert locks.lock_file(descriptors[1], wait=False)


@pytest.mark.parametrize(("code", "skipped"), [(errno.ENOLCK, True), (errno.EIO, False)])
def test_a_file_system_without_locks_is_no_error_but_a_broken_one_is(descriptors, monkeypatch, code, skipped):
    def refuse(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    if skipped:
        assert locks.lock_file(descriptors[0], wait=False)
    else:
        with pytest.raises(OSError, match=os.strerror(code)):
            locks.lock_file(descriptors[0], wait=False)
