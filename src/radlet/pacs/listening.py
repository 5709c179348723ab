"""The listening side of the node: who may call, with how much, and for how long."""

import ipaddress
import logging
import socket
import ssl
import threading
import time
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.events import EVT_ACCEPTED, EVT_C_ECHO, EVT_C_STORE, EVT_DIMSE_RECV, Event
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from radlet.core.errors import ConfigError
from radlet.pacs.contexts import FILM_CLASSES, readable_syntaxes
from radlet.pacs.network_libraries import prepare_libraries
from radlet.pacs.settings import NodeLimits, NodeSettings
from radlet.pacs.storing import FilmReceiver
from radlet.reading.certificates import server_tls

_LOG = logging.getLogger(__name__)
_ASSOCIATE_BYTES = 128 * 1024
"""Room for a request with 128 presentation contexts, which no announced PDU length bounds."""
_SUCCESS = 0x0000


class CallerRules:
    """Which addresses may call.

    Args:
        settings: Of the node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        local = ("127.0.0.0/8", "::1/128") if settings.is_local and not settings.addresses else ()
        self._networks = [ipaddress.ip_network(address) for address in (*settings.addresses, *local)]

    def allow(self, address: str) -> bool:
        """Say whether this address may call."""
        caller = ipaddress.ip_address(address)
        mapped = getattr(caller, "ipv4_mapped", None)
        return any((mapped or caller) in network for network in self._networks)


class _GuardedSocket(AssociationSocket):  # type: ignore[misc]  # pynetdicom is not checked
    """A socket that neither believes every length it is told nor takes messages without end."""

    limits: NodeLimits
    num_message_bytes = 0
    message_began: float | None = None
    """On the monotonic clock; None between two messages."""

    def begin_message(self) -> None:
        """Count from here on: what comes next is another message."""
        self.num_message_bytes, self.message_began = 0, None

    def recv(self, nr_bytes: int) -> bytearray:
        """Read, unless it is too much; the connection is then closed."""
        self.num_message_bytes += nr_bytes
        self.message_began = self.message_began or time.monotonic()
        longest = self.limits.max_pdu_kb * 1024 + _ASSOCIATE_BYTES
        if nr_bytes > longest or self.num_message_bytes > self.limits.max_object_mb * 2**20 + longest:
            self.close()
            raise OSError("More than the node takes")
        return bytearray(super().recv(nr_bytes))


class _Handler(RequestHandler):  # type: ignore[misc]
    server: "NodeServer"

    def _create_association(self) -> Association:
        association = super()._create_association()
        # pynetdicom makes the socket itself, and another one would announce the connection twice.
        guarded: Any = association.dul.socket
        association.began = time.monotonic()
        guarded.__class__, guarded.limits = _GuardedSocket, self.server.limits
        return association


class NodeServer(ThreadedAssociationServer):  # type: ignore[misc]
    """Accept connections from those who may call."""

    # A peer that went away does not keep the process alive.
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any, rules: CallerRules, limits: NodeLimits, **kwargs: Any) -> None:
        self.rules, self.limits = rules, limits
        self._greeting = 0
        self._lock = threading.Lock()
        super().__init__(*args, request_handler=_Handler, **kwargs)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take a connection; what TLS has to say is said in its own thread, so that nobody holds the others up."""
        connection, address = self.socket.accept()
        connection.settimeout(self.limits.acse_timeout_s)
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - socketserver's
        """Say whether a caller may go on; all others are hung up on without a word."""
        with self._lock:
            num_open = self._greeting + len(self.active_associations)
        if num_open >= 2 * self.limits.max_associations:
            _LOG.warning("a connection was closed: %d are open", num_open)
            return False
        if not self.rules.allow(str(client_address[0])):
            _LOG.warning("a connection from an address that is not listed was closed")
            return False
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Greet a caller."""
        with self._lock:
            self._greeting += 1
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
            request.settimeout(self.limits.network_timeout_s)
            super().finish_request(request, client_address)
        finally:
            with self._lock:
                self._greeting -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's
        """Note that a caller was lost before the association began."""
        _LOG.warning("a connection failed before its association began")

    def shutdown(self) -> None:
        """Stop listening; the library's own way expects a server that the library started."""
        BaseServer.shutdown(self)
        self.server_close()

    def drop_overdue(self) -> None:
        """End the associations that have lasted too long, and those whose message has."""
        now = time.monotonic()
        for association in self.active_associations:
            held = association.dul.socket
            if not isinstance(held, _GuardedSocket):
                continue
            waiting_since = held.message_began if association.is_established else None
            for name, since in (("max_association_s", association.began), ("dimse_timeout_s", waiting_since)):
                if since is not None and now - since > getattr(self.limits, name):
                    _LOG.warning("an association was ended: it lasted longer than %s", name)
                    held.close()
                    break


def listen(settings: NodeSettings, receiver: FilmReceiver) -> NodeServer:
    """Take the port, ready for `serve_forever`.

    Raises:
        ConfigError: The port is taken, or the certificate cannot be used.
    """
    prepare_libraries()
    limits = settings.limits
    entity = AE(ae_title=settings.ae_title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(settings.calling_ae_titles)
    entity.maximum_associations = limits.max_associations
    entity.maximum_pdu_size = limits.max_pdu_kb * 1024
    entity.acse_timeout, entity.dimse_timeout = limits.acse_timeout_s, limits.dimse_timeout_s
    entity.network_timeout = limits.network_timeout_s
    entity.add_supported_context(Verification)
    for film_class in FILM_CLASSES:
        entity.add_supported_context(film_class, readable_syntaxes())
    host = "127.0.0.1" if settings.host == "localhost" else settings.host
    try:
        server = entity.make_server(
            (host, settings.port),
            ssl_context=tls_of(settings),
            evt_handlers=[
                (EVT_C_ECHO, lambda _: _SUCCESS),
                (EVT_C_STORE, receiver.on_store),
                (EVT_ACCEPTED, _begin_message),
                (EVT_DIMSE_RECV, _begin_message),
            ],
            server_class=NodeServer,
            rules=CallerRules(settings),
            limits=limits,
        )
    except OSError as error:
        raise ConfigError(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}). Give another port; 0 takes "
            "a free one."
        ) from None
    return cast("NodeServer", server)


def tls_of(settings: NodeSettings) -> ssl.SSLContext | None:
    """Return how TLS is spoken, if it is.

    Raises:
        ConfigError: Certificate or key cannot be used.
    """
    if not (settings.tls_certificate and settings.tls_key):
        return None
    return server_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


def _begin_message(event: Event) -> None:
    held = event.assoc.dul.socket
    # None where the caller has hung up meanwhile.
    if held is not None:
        held.begin_message()
