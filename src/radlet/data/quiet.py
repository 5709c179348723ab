"""Keep in what decoding libraries warn and log while `radlet.data.dicom` and `radlet.data.raster` read a file.

Those lines quote what they read, and that may name the patient.
"""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

LIBRARY_LOGGERS = ("pydicom", "pylibjpeg", "libjpeg", "openjpeg", "PIL")

# Warning filters and loggers belong to the process. Threads that read at the same time share one silence: the first
# begins it and the last ends it, or else one would restore what another had already silenced.
_lock = threading.Lock()
_silence = ExitStack()
_readers = 0


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence warnings and the loggers of the decoding libraries while at least one thread is inside."""
    global _readers  # noqa: PLW0603 - one count for the process, as there is one set of filters
    with _lock:
        _readers += 1
        if _readers == 1:
            _silence.enter_context(_silenced_warnings())
            _silence.enter_context(_silenced_loggers())
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _silence.close()


@contextmanager
def _silenced_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _silenced_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LIBRARY_LOGGERS]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        # Their children log through them, so a level or a filter set here would not reach those.
        logger.propagate, logger.handlers = False, [logging.NullHandler()]
    yield
    for logger, (propagate, handlers) in zip(loggers, before, strict=True):
        logger.propagate, logger.handlers = propagate, handlers
