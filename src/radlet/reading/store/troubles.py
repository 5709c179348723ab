"""What keeps a store from answering for a while, in words for whoever asked: it is busy, or the disk is full."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from radlet.core.errors import RadletError

RETRY_AFTER_S = 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BusyError(RadletError):
    """The database did not answer in time: another process holds it, or it is down; nothing was changed."""

    retry_after_s = RETRY_AFTER_S

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer: another process holds it, or it is down. Nothing was changed; try again in "
            f"{RETRY_AFTER_S} s."
        )


class FullError(RadletError):
    """There is no room for what was to be kept; nothing was."""

    def __init__(self) -> None:
        super().__init__("The disk of the reading room is full: nothing was kept. Make room, then send it again.")


@contextmanager
def troubles_told() -> Iterator[None]:
    """Raise the trouble behind what the database's driver or the file system raises.

    Raises:
        BusyError: The database does not answer.
        FullError: The disk is full.
    """
    try:
        yield
    except OperationalError as error:
        # The driver's own text stays out: PostgreSQL quotes rows in it.
        if "disk is full" in str(error.orig) or "disk full" in str(error.orig):
            raise FullError from None
        raise BusyError from None
    except OSError as error:
        if error.errno in _FULL:
            raise FullError from None
        raise
