"""Advisory file locks, which the system takes away when their holder ends, however it ends."""

import errno

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
"""What a file system without locks answers; there, as on systems without `fcntl`, nothing is guarded."""


def lock_file(descriptor: int, wait: bool) -> bool:
    """Take the exclusive lock of an open file; it is held until the file is closed.

    Args:
        descriptor: Of the file.
        wait: Whether to wait until the present holder lets go.

    Returns:
        False if another process holds it, which with `wait` never is the answer.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
