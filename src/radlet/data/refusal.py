"""Turn whatever a decoding library raises into one refusal. Used by `radlet.data.dicom` and `radlet.data.raster`.

Foreign bytes make parsers and codecs fail in many ways, and their messages quote what they read: only the kind of the
error passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from radlet.core.errors import DataError, RadletError


class QuarantineError(DataError):
    """A film may tell who its patient is, in a way that cannot be taken out; a person must look at it."""


@contextmanager
def refusing(message: str, refusal: type[DataError]) -> Iterator[None]:
    """Raise `refusal` with `message` and the class of the error in place of any error of a library.

    Raises:
        DataError: The block failed; `message` should end without a full stop.
    """
    try:
        yield
    except RadletError:
        raise
    except Exception as error:  # noqa: BLE001 - nothing is swallowed: every error becomes a refusal
        raise refusal(f"{message} ({type(error).__name__}).") from None
