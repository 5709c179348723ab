"""Answer C-STORE: a film is answered with success only when it is in the store, durably (PS3.4 B.2.3)."""

import logging
from collections.abc import Callable

from pydicom.dataset import Dataset
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from radlet.core.errors import DataError
from radlet.reading.opening import OpenedFilm, open_film
from radlet.reading.receiving import store_films
from radlet.reading.store.films import PRIOR
from radlet.reading.store.store import Store
from radlet.reading.store.troubles import TroubleError

_LOG = logging.getLogger(__name__)
ACTOR = "dicom"
RECEIVED = "dicom"
"""Where a study of the store came from: it was sent here, or asked for as an earlier one of a patient."""

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
_LONGEST_COMMENT = 64


class MismatchError(DataError):
    """The object is not the one that the request names."""


class FilmReceiver:
    """Keep the films that come in.

    Args:
        store: Where they are kept.
        own_title: Of this node: what it asked another to move here are priors.
    """

    def __init__(self, store: Store, own_title: str) -> None:
        self._store, self._own_title = store, own_title

    def on_store(self, event: Event) -> Dataset:
        """Answer a C-STORE request."""
        mover = str(event.request.MoveOriginatorApplicationEntityTitle or "").strip()
        origin = PRIOR if mover == self._own_title else RECEIVED
        named = str(event.request.AffectedSOPInstanceUID)
        return self.answer(event.encoded_dataset, named, origin)

    def answer(self, read: Callable[[], bytes], named_uid: str, origin: str) -> Dataset:
        """Keep a film, and say how it went.

        Args:
            read: Gives the file.
            named_uid: SOP Instance UID of the request.
            origin: How it came.
        """
        try:
            keep_object(self._store, read(), named_uid, origin)
        except MismatchError as error:
            return _status(MISMATCH, str(error))
        except DataError as error:
            return _status(CANNOT_UNDERSTAND, str(error))
        except (TroubleError, OSError, SQLAlchemyError, MemoryError) as error:
            # The sender keeps it and comes again.
            _LOG.error("a film could not be kept: %s", type(error).__name__)
            return _status(OUT_OF_RESOURCES, "The film cannot be kept now. Send it again later.")
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender must not believe that the film is kept
            _LOG.error("a film could not be read: %s", type(error).__name__)
            return _status(CANNOT_UNDERSTAND, "The film cannot be read.")
        return _status(SUCCESS, "")


def keep_object(store: Store, content: bytes, named_uid: str | None, origin: str) -> str:
    """Put a DICOM film into the store and return the identifier of its study.

    Args:
        store: Where it is kept.
        content: The file.
        named_uid: SOP Instance UID that it must have; None: any.
        origin: How it came.

    Raises:
        DataError: It is no film, damaged, does not say which study and series it belongs to, or its study is known as
            another patient's.
        MismatchError: It is another object.
    """
    opened = open_film(content)
    _check_identity(opened, named_uid)
    return store_films(store, [opened], ACTOR, origin)[0][0]


def _check_identity(opened: OpenedFilm, named_uid: str | None) -> None:
    header = opened.header
    if not (header.study_uid and header.series_uid and header.sop_instance_uid):
        raise DataError("Study, Series or SOP Instance UID is missing.")
    if named_uid is not None and header.sop_instance_uid != named_uid:
        raise MismatchError("The SOP Instance UID is not that of the request.")


def _status(code: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = code
    if comment:
        # LO: one line of 64 characters without a backslash (PS3.5 6.2).
        plain = comment.encode("ascii", "replace").decode().replace("\\", "/")
        answer.ErrorComment = plain[:_LONGEST_COMMENT]
    return answer
