"""What the network libraries need before they are used: their logs kept in, their sockets closed."""

import logging
import socket
import warnings
from contextlib import suppress

from pynetdicom import _config
from pynetdicom.transport import AssociationSocket


def prepare_libraries() -> None:
    """Keep in what they log, which quotes data sets and addresses that name the patient; mend what they leave open."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pydicom", "pynetdicom", "dicomweb_client", "retrying", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate, logger.handlers = False, [logging.NullHandler()]
    # Its warnings quote the values that they do not like, and a request is read before anybody could be quiet.
    warnings.filterwarnings("ignore", module="pydicom|pynetdicom")
    # pynetdicom closes nothing where the other side has hung up first: shutting down fails, and it stops at that.
    AssociationSocket._shutdown_socket = _shut_and_close


def _shut_and_close(association_socket: AssociationSocket) -> None:
    held = association_socket.socket
    if held is None:
        return
    with suppress(OSError):
        held.shutdown(socket.SHUT_RDWR)
    held.close()
