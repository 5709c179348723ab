"""What keeps a store from answering for a while, in words for whoever asked: it is busy, full, or read-only."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from radlet.core.errors import RadletError

RETRY_AFTER_S = 10
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
# disk_full (PostgreSQL, appendix A: class 53).
_FULL_CODES = ("53100", "SQLITE_FULL")
# insufficient_privilege, read_only_sql_transaction.
_AT_FAULT = "SQLITE_ERROR"
"""Of SQL that SQLite cannot run, such as on tables of another version: nothing would be better a moment later."""
_UNWRITABLE_CODES = ("42501", "25006", "SQLITE_PERM")


class TroubleError(RadletError):
    """The store cannot keep anything now; what was sent is to be sent again."""


class BusyError(TroubleError):
    """The database did not answer in time: another process holds it, or it is down; nothing was changed."""

    retry_after_s = RETRY_AFTER_S

    def __init__(self) -> None:
        super().__init__(
            "The database does not answer: another process holds it, or it is down. Nothing was changed; try again in "
            f"{RETRY_AFTER_S} s."
        )


class FullError(TroubleError):
    """There is no room for what was to be kept; nothing was."""

    def __init__(self) -> None:
        super().__init__("The disk of the reading room is full: nothing was kept. Make room, then send it again.")


class UnwritableError(TroubleError):
    """Nothing can be kept until somebody lets the service write again; nothing was."""

    def __init__(self) -> None:
        super().__init__(
            "The reading room cannot write to its folder or database: it is read-only, or belongs to another user. "
            "Nothing was kept. Whoever runs it must let it write, then send it again."
        )


@contextmanager
def troubles_told() -> Iterator[None]:
    """Raise the trouble behind what the database's driver or the file system raises.

    Raises:
        BusyError: The database does not answer.
        FullError: The disk is full.
        UnwritableError: The disk, or the database, takes no changes.
    """
    try:
        yield
    except PoolTimeoutError:
        # All connections are held by those who wait themselves.
        raise BusyError from None
    except DBAPIError as error:
        # The driver's own text stays out: PostgreSQL quotes rows in it.
        told = _told(error)
        if told is None:
            raise
        raise told from None
    except OSError as error:
        trouble = trouble_of(error)
        if trouble is None:
            raise
        raise trouble from None


def trouble_of(error: OSError) -> TroubleError | None:
    """Return what an error of the file system means for whoever asked; None where it is none of these."""
    if error.errno in _FULL:
        return FullError()
    return UnwritableError() if error.errno in _UNWRITABLE else None


def _told(error: DBAPIError) -> TroubleError | None:
    """Return what a driver's error means for whoever asked; None where the question was at fault."""
    # SQLSTATE of PostgreSQL; name of SQLite's extended result code.
    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or ""
    words = str(error.orig)
    if code in _FULL_CODES or "disk is full" in words:
        return FullError()
    if code in _UNWRITABLE_CODES or code.startswith("SQLITE_READONLY"):
        return UnwritableError()
    if code == _AT_FAULT:
        return None
    return BusyError() if isinstance(error, OperationalError | InterfaceError) else None
